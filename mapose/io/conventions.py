"""What other tools write for a point that is not there, and for how sure they are: one rule."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapose.arrays import Bools, Singles
from mapose.skeleton import LANDMARKS, Skeleton

log = logging.getLogger(__name__)

#: DeepLabCut's individual that owns the body parts which belong to no animal.
SINGLE = "single"
# Confidence maps overshoot their peaks a little; what is above this has another scale.
_OVERSHOOT = 2.0
# Confidence from which a predicted keypoint counts as marked.
_SURE = 0.5
# Points that tell whether they are pixels.
_FEW = 3


def find_padding(points: npt.ArrayLike) -> Bools:
    """Find points, (..., K, d), that stand for none: tools pad with -1, -1 and with 0, 0.

    No two keypoints of an animal lie in the very corner of the picture; one alone may.

    Examples
    --------
    >>> find_padding([[-1, -1], [-1, 7], [3, 4], [0, 0]]).tolist()
    [True, False, False, False]
    >>> find_padding([[0, 0], [0, 0], [3, 4]]).tolist()
    [True, True, False]
    """
    points = np.asarray(points)
    corner = (points == 0).all(-1)
    return np.asarray((points == -1).all(-1) | (corner & (corner.sum(-1, keepdims=True) > 1)), bool)


def are_shares(points: npt.ArrayLike) -> bool:
    """Tell whether places, (..., d), are shares of the picture: all within 0 to 1, not pixels.

    Examples
    --------
    >>> are_shares([[0.25, 0.5], [0.3, 0.5], [0.4, 0.6]]), are_shares([[12.5, 0.5]])
    (True, False)
    """
    points = np.asarray(points)
    found = points[np.isfinite(points).all(-1)]
    if len(found) < _FEW or found.min() < 0 or found.max() > 1:
        return False
    return bool((found % 1 != 0).any())


def settle_visibility(flags: npt.ArrayLike) -> tuple[Singles, str]:
    """Bring what is said of how well keypoints are seen to 0 (not marked), 1 (hidden), 2 (seen).

    Predictions have confidences in that place; keypoints below 0.5 are not marked then.

    Parameters
    ----------
    flags : float, (..., K)
        Of all animals of a file; below 0 and NaN are as 0.

    Returns
    -------
    flags : float32, (..., K)
    told : str
        A sentence if they were confidences, else empty.
    """
    flags = np.nan_to_num(np.asarray(flags, np.float32), nan=0.0)
    if not ((flags % 1 != 0).any() and flags.max() <= _OVERSHOOT):
        return flags, ""
    sure = flags >= _SURE
    told = (
        f"visibilities are no 0, 1 or 2 but confidences, as of predictions: {(~sure).sum()} "
        f"keypoints below {_SURE} are left out"
    )
    return np.where(sure, 2.0, 0.0).astype(np.float32), told


def settle_points(array: npt.ArrayLike, path: Path) -> Singles:
    """Bring points of another tool to our conventions.

    Parameters
    ----------
    array : float, (..., d + 1)
        Coordinates and confidence; NaN where there is none.
    path : Path
        Where they are from, for messages.

    Returns
    -------
    float32, (..., d + 1)
        Points at -1, -1 are missing, and so are those at 0, 0 with confidence 0 or beside another
        one of the animal, and those with a negative confidence, which is told. A point whose
        confidence is not said is there. Confidences up to 100 are taken for percent where most
        are above 1; else what is above 1 becomes 1. What goes beyond the little by which
        confidence maps overshoot is told.
    """
    array = np.array(array, np.float32)
    points, score = array[..., :-1], array[..., -1]
    gone = find_padding(points) | ((points == 0).all(-1) & (score <= 0))
    zeros = gone & (points == 0).all(-1) & (score > 0)
    if zeros.any():
        log.warning("%s: %d points at 0, 0 stand for none", path.name, zeros.sum())
    negative = ~gone & (score < 0) & np.isfinite(points).all(-1)
    if negative.any():
        log.warning(
            "%s: %d points have a negative confidence, down to %.3g; they are taken for missing",
            path.name, negative.sum(), score[negative].min(),
        )  # fmt: skip
    gone |= negative
    array[gone, :-1], array[gone, -1] = np.nan, 0
    there = np.isfinite(points).all(-1)
    score[there & np.isnan(score)] = 1
    most = float(score[there].max(initial=0))
    if _OVERSHOOT < most <= 100 and np.median(score[there]) > 1:
        log.warning("%s: confidences up to %.4g are taken for percent", path.name, most)
        score /= 100
    elif most > _OVERSHOOT:
        log.warning(
            "%s: wanted confidences from 0 to 1, came up to %.4g; %d above 1 are taken for 1",
            path.name, most, (score[there] > 1).sum(),
        )  # fmt: skip
    np.clip(score, 0, 1, out=score)
    return array


def settle_landmarks(
    marked: Bools, skeleton: Skeleton, individuals: Sequence[str] | None
) -> tuple[Skeleton, list[str] | None]:
    """Tell keypoints that belong to no animal from those of animals, and call their owner as we do.

    Parameters
    ----------
    marked : bool, (F, I, K)
        Where there is a point.
    skeleton : Skeleton
        Of the file.
    individuals : sequence of str, optional
        As the file calls them.

    Returns
    -------
    skeleton : Skeleton
        With the landmarks: what only an individual ``single`` or ``landmarks`` has, beside
        animals that have others.
    individuals : list of str or None
        With `LANDMARKS` for its name.
    """
    owners = [i for i, name in enumerate(individuals or ()) if name in (SINGLE, LANDMARKS)]
    if individuals is None or len(owners) != 1 or len(individuals) < 2 or skeleton.landmarks:
        return skeleton, None if individuals is None else list(individuals)
    has = np.asarray(marked.any(0), bool)
    own = has[owners[0]]
    others = np.delete(has, owners[0], 0).any(0)
    if (own & others).any() or not own.any() or own.all():
        return skeleton, list(individuals)
    marks = [name for name, there in zip(skeleton.keypoints, own, strict=True) if there]
    apart = [(a in marks) == (b in marks) for a, b in skeleton.edges]
    settled = Skeleton(
        skeleton.keypoints,
        [edge for edge, same in zip(skeleton.edges, apart, strict=True) if same],
        [pair for pair in skeleton.mirror if (pair[0] in marks) == (pair[1] in marks)],
        landmarks=marks,
    )
    named = list(individuals)
    named[owners[0]] = LANDMARKS
    return settled, named


def distinguish_names(names: Sequence[str]) -> list[str]:
    """Give names that come again a number: merged files have two tracks of one name.

    Examples
    --------
    >>> distinguish_names(["mouse", "other", "mouse", "mouse-2"])
    ['mouse', 'other', 'mouse-3', 'mouse-2']
    """
    used, taken, found = set(names), set(), []
    for name in names:
        number, own = 2, name
        while own in taken or (own != name and own in used):
            own, number = f"{name}-{number}", number + 1
        taken.add(own)
        found.append(own)
    return found
