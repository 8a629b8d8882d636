"""Find by how many frames cameras are apart, from what they saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats, Ints
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.synchronization.clocks import Clocks, solve_offsets
from calibration.synchronization.coherence import compare_motion, compare_rays

#: Below this confidence, data do not tell the offset.
SURE = 0.9
# Offsets this near the end of the search are looked for beyond it: so many times as far, at most to
# where cameras share little; further than that, frames agree by chance.
_RIM, _FURTHER, _SHARED = 2, 16, 0.8
# With more cameras than this each is compared with a few others only.
_ALL_PAIRS, _NEIGHBOURS = 6, 3


@dataclass(frozen=True, eq=False)
class Synchronization:
    """Offsets between cameras; prints itself as a table.

    Parameters
    ----------
    names : tuple of str
        The V cameras; the first one is the reference.
    offsets : dict of int
        By camera: frame f of the reference shows the same moment as frame f + offset.
    shifts : dict of float
        The same with fractions of a frame, in the middle of the recording.
    deviations : dict of float
        Standard deviations of the shifts, frames.
    confidence : dict of float
        0 to 1: share of recordings redrawn from this one that give the same offset.
    drifts : dict of float
        Frames by which the shift grows over the recording; 0 where none was found.
    n_frames : int
        Length of the recording in frames of the reference.
    reach : int
        Largest offset that was looked for, frames.
    """

    names: tuple[str, ...]
    offsets: dict[str, int]
    shifts: dict[str, float]
    deviations: dict[str, float]
    confidence: dict[str, float]
    drifts: dict[str, float]
    n_frames: int
    reach: int = 0

    @property
    def sure(self) -> bool:
        """Whether the data tell every offset."""
        return min(self.confidence.values()) >= SURE

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Cameras whose offset the data do not tell."""
        return tuple(n for n in self.names if self.confidence[n] < SURE)

    @property
    def at_rim(self) -> tuple[str, ...]:
        """Cameras whose offset is at the end of the search, so that it may lie beyond."""
        values = self.offsets.values()
        low, high = min(values), max(values)
        far = [
            n
            for n in self.names
            if max(high - self.offsets[n], self.offsets[n] - low) >= self.reach - _RIM
        ]
        return tuple(far) if self.reach else ()

    def find_shift(self, name: str, frames: npt.ArrayLike) -> Floats:
        """Find the shift of a camera at frames of the reference, with its drift."""
        middle = np.asarray(frames, np.float64) / max(self.n_frames - 1, 1) - 0.5
        return np.asarray(self.shifts[name] + self.drifts[name] * middle)

    def __str__(self) -> str:
        width = max(map(len, (*self.names, "camera")))
        lines = [f"{'camera':<{width}}  offset   shift ± sd       drift  confidence"]
        for n in self.names:
            lines.append(
                f"{n:<{width}}  {self.offsets[n]:>6d}  {self.shifts[n]:>6.2f} ± "
                f"{self.deviations[n]:<6.2f} {self.drifts[n]:>6.1f}  {self.confidence[n]:>10.2f}"
            )
        if self.doubtful:
            lines.append(
                f"The data do not tell the offset of {', '.join(self.doubtful)} within "
                f"{self.reach} frames: too little moves or is seen together; take a longer piece "
                "with faster motion, or a flash or clap"
                + (
                    ". Perhaps it is further apart: look further (max_offset=, --max-offset)."
                    if self.at_rim
                    else "."
                )
            )
        return "\n".join(lines)


def find_frame_offsets(
    pixels: Mapping[str, Floats],
    cameras: CameraGroup | None = None,
    *,
    max_offset: int = 60,
    max_drift: float = 0.0,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Synchronization:
    """Find by how many frames cameras are apart, from animals that they saw.

    Parameters
    ----------
    pixels : mapping of float, (F, I, K, 2)
        What each camera saw, by its name, as many frames of each; NaN = missing. I may differ
        and individuals may be in any order, but should keep their place from one frame to
        the next.
    cameras : CameraGroup, optional
        Calibration of them. Without it only the rhythm of motion is compared, which is less
        exact, but needs no keypoints in common.
    max_offset : int
        Largest offset between any two cameras that is looked for at first, frames. Where the best
        one lies at the end of the search, or the data do not tell any, it goes on to 16 times as
        far.
    max_drift : float
        Largest change of an offset over the recording to look for, frames; 0 = none.
    seed : int
        Of the redrawing.
    on_progress : callable, optional
        Told (pairs of cameras done, pairs).

    Returns
    -------
    Synchronization
        Against the first camera.

    Raises
    ------
    CalibrationError
        If there are fewer than two cameras, a camera is not calibrated, or shapes do not fit.

    Notes
    -----
    Constant errors of calibration and labels cancel: from the epipolar distances of each
    keypoint its median is taken, and of the rest what the frame before let expect (a process
    of first order, learned from the data). On a fly's legs, whose labels are off by more than
    they move in a frame, that decides between the right offsets and ones up to 3 frames off.

    References
    ----------
    Epipolar distance to first order: Sampson 1982 (Computer Graphics and Image Processing
    18:97). Robust gain: Geman and McClure 1987 (Bull. Int. Stat. Inst. 52:5).
    """
    names = tuple(pixels)
    arrays = _check_arrays(pixels, max_offset)
    pairs = _list_pairs(len(names))
    longest = int(_SHARED * len(arrays[0]))
    # Further apart than it is long, nothing is shared.
    max_offset = min(max_offset, max(len(arrays[0]) - 1, 1))
    reach, first = max_offset, None
    while True:
        if cameras is None:
            agreement = compare_motion(arrays, pairs, reach=reach)
        else:
            chosen = [cameras[name] for name in names]
            agreement = compare_rays(chosen, arrays, pairs, reach=reach, on_progress=on_progress)
        clocks = solve_offsets(agreement, max_drift=max_drift, rng=np.random.default_rng(seed))
        found = _report(names, clocks, len(arrays[0]), reach)
        first = first or found
        wider = min(2 * reach, _FURTHER * max_offset, longest)
        if wider <= reach or (found.sure and not found.at_rim):
            break
        reach = wider
    # Far off, what agrees by chance is not better than what does so near by.
    return found if found.sure or first.at_rim else replace(first, reach=found.reach)


def _check_arrays(pixels: Mapping[str, Floats], max_offset: int) -> list[Floats]:
    arrays = [np.asarray(a, np.float64) for a in pixels.values()]
    if len(arrays) < 2:
        raise CalibrationError(f"offsets need at least two cameras, came {len(arrays)}")
    shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(pixels, arrays, strict=True))
    if any(a.ndim != 4 or a.shape[-1] != 2 for a in arrays):
        raise CalibrationError(f"wanted (frames, individuals, keypoints, 2) each, came {shapes}")
    if len({(len(a), a.shape[2]) for a in arrays}) > 1:
        raise CalibrationError(f"wanted as many frames and keypoints of each camera, came {shapes}")
    if max_offset < 1:
        raise CalibrationError(f"max_offset: wanted at least 1 frame, came {max_offset}")
    return arrays


def _list_pairs(n: int) -> Ints:
    """List pairs a < b: all of few cameras, else each with its next ones."""
    pairs = list(combinations(range(n), 2))
    if n > _ALL_PAIRS:
        pairs = [(a, b) for a, b in pairs if min(b - a, a + n - b) <= _NEIGHBOURS]
    return np.array(pairs, np.int64)


def _report(names: tuple[str, ...], clocks: Clocks, n_frames: int, reach: int) -> Synchronization:
    def by_name(values: Floats) -> dict[str, float]:
        return dict(zip(names, values.tolist(), strict=True))

    return Synchronization(
        names=names,
        offsets=dict(zip(names, clocks.offset.tolist(), strict=True)),
        shifts=by_name(clocks.shift),
        deviations=by_name(clocks.deviation),
        confidence=by_name(clocks.confidence),
        drifts=by_name(clocks.drift),
        n_frames=n_frames,
        reach=reach,
    )
