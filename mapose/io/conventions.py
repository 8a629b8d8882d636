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


def find_padding(points: npt.ArrayLike) -> Bools:
    """Find points, (..., d), that stand for none: DeepLabCut 3 and others pad with -1, -1.

    Examples
    --------
    >>> find_padding([[-1, -1], [-1, 7], [3, 4]]).tolist()
    [True, False, False]
    """
    return np.asarray((np.asarray(points) == -1).all(-1), bool)


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
        Points at -1, -1 are missing, and so are those at 0, 0 with confidence 0, and those with a
        negative confidence, which is told. Confidences up to 100 are taken for percent where most
        are above 1; else what is above 1 becomes 1. What goes beyond the little by which
        confidence maps overshoot is told.
    """
    array = np.array(array, np.float32)
    points, score = array[..., :-1], array[..., -1]
    gone = find_padding(points) | ((points == 0).all(-1) & (score <= 0))
    negative = ~gone & (score < 0) & np.isfinite(points).all(-1)
    if negative.any():
        log.warning(
            "%s: %d points have a negative confidence, down to %.3g; they are taken for missing",
            path.name, negative.sum(), score[negative].min(),
        )  # fmt: skip
    gone |= negative
    array[gone, :-1], array[gone, -1] = np.nan, 0
    there = np.isfinite(points).all(-1) & np.isfinite(score)
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
