"""Left taken for right: found by the other cameras, put right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapose.multiview.likelihood import find_gains

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

#: How much likelier exchanged must be, as a logarithm.
_MARGIN = 3.0


def find_mirrored(
    seen: Floats, expected: Floats, pairs: Ints, *, noise: float, area: float
) -> Bools:
    """Find left/right pairs of keypoints that one camera sees exchanged.

    Parameters
    ----------
    seen : float64, (..., K, 2)
        Keypoints in one camera's image, px; NaN = missing.
    expected : float64, (..., K, 2)
        Where the animals' keypoints are by all cameras, px; NaN = not known.
    pairs : int64, (M, 2)
        Channels of left and right keypoints.
    noise : float
        Standard deviation of a seen keypoint, px.
    area : float
        Area of a body, px².

    Returns
    -------
    bool, (..., M)
        True where exchanging the two fits clearly better. Also where only one of the two was
        seen, on the other one's place.

    Examples
    --------
    >>> expected = np.array([[10.0, 10], [50, 10]])
    >>> find_mirrored(expected[::-1], expected, np.array([[0, 1]]), noise=2, area=1e4)
    array([ True])
    """
    right_way = _score(seen, expected, noise, area)
    swapped = np.empty_like(seen)
    swapped[...] = seen
    left, right = pairs.T
    swapped[..., left, :], swapped[..., right, :] = seen[..., right, :], seen[..., left, :]
    other_way = _score(swapped, expected, noise, area)
    gain = other_way - right_way
    known = np.asarray(np.isfinite(expected).all(-1))
    both = known[..., left] & known[..., right]
    return np.asarray(both & (gain[..., left] + gain[..., right] > _MARGIN))


def _score(seen: Floats, expected: Floats, noise: float, area: float) -> Floats:
    """Score each keypoint, (..., K); 0 where it was not seen."""
    error = seen - expected
    common = np.asarray(np.isfinite(error).all(-1))
    error = np.where(common[..., None], error, 0)
    # The place that the others expect is about as uncertain as what is seen.
    spread = np.broadcast_to(2 * noise**2 * np.array([1.0, 0.0, 1.0]), (*common.shape, 3))
    gains, _ = find_gains(error[None], spread[None], common[None], np.array([area]))
    return np.asarray(gains[0])


def exchange(array: npt.NDArray[np.floating], mirrored: Bools, pairs: Ints) -> None:
    """Exchange the keypoints of marked pairs (..., M) in an array (..., K, n), in place."""
    for pair, (left, right) in enumerate(pairs):
        rows = mirrored[..., pair]
        array[rows, left], array[rows, right] = array[rows, right], array[rows, left]
