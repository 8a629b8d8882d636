"""Assemble keypoint candidates into individuals."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from mapose.anatomy import Anatomy
from mapose.arrays import AnyFloats, Bools, Floats, Ints
from mapose.decode.anatomy import choose_peaks
from mapose.decode.groups import group_peaks, join_fragments
from mapose.decode.links import choose_links
from mapose.errors import SettingsError, ShapeError
from mapose.landmarks import join_landmarks
from mapose.poses import Peaks, Poses
from mapose.skeleton import Skeleton

_log = logging.getLogger(__name__)

#: Weight of a link that speaks against two peaks relative to one that speaks for them: fields
#: of overlapping or hidden limbs fade much more often than fields appear where there is no limb.
AGAINST = 0.3
#: Least affinity. In simulated crowds anything from 0.05 to 0.3 differs by less than 0.5 %; with
#: fields of only a quarter of their strength, as after a short training, 0.1 loses nothing, 0.15
#: loses 0.8 % and 0.2 loses 10 %.
MIN_AFFINITY = 0.1


def assemble(
    peaks: Peaks,
    skeleton: Skeleton,
    *,
    individuals: int | None = None,
    min_affinity: float = MIN_AFFINITY,
    min_keypoints: int | None = None,
    reach: AnyFloats | None = None,
    anatomy: Anatomy | None = None,
) -> Poses:
    """Assemble peaks into individuals, frame by frame, for a whole run at once.

    1. On each edge of the skeleton, links are chosen so that no peak has two partners.
    2. Whatever they connect is an animal, unless it holds a keypoint twice; then it is taken apart
       and put together again by the evidence of all its links.
    3. Fragments that can only be parts of one animal are joined, if ``reach`` is known.
    4. The best groups of each frame are kept.
    5. Each keypoint is looked at again: peaks that lie where the animal's other keypoints say are
       taken for those that do not, and for those that were not found, if ``anatomy`` is known.

    With one individual the best peak of each keypoint is taken instead; see Notes.

    Parameters
    ----------
    peaks : Peaks
        Candidates of a run of frames. Peaks with a NaN or infinite position or score are left
        out, links with such an affinity too.
    skeleton : Skeleton
        Whose K keypoints and E edges the peaks and links refer to.
    individuals : int, optional
        Number of animals, if known: no frame gets more, and none is invented. None = unknown.
    min_affinity : float
        From here on, -1 to 1, a link speaks for its peaks being of one animal.
    min_keypoints : int, optional
        Smaller groups are dropped. By default 2 if the number of animals is known, else a quarter
        of the keypoints but at least 2; 1 if there are at most 2 keypoints or no edges. Does
        not count for one individual.
    reach : float, (K, K), optional
        Largest plausible distance of each two keypoints of an animal, px; NaN or infinite =
        unknown. A scatter of the peaks of two standard deviations is added to it.
    anatomy : Anatomy, optional
        Where the keypoints lie on an animal, of the same K keypoints.

    Returns
    -------
    Poses
        Unordered slots (F, I, K, 3), the best individual of a frame first; confidence is the
        peak's score. I is ``individuals``, or the most found in a frame of this run, at least 1.
        Where the skeleton has landmarks, the best peak of each is in one slot more, the last.

    Raises
    ------
    ShapeError
        If peaks, skeleton, reach and anatomy do not fit.
    SettingsError
        If a number is out of range.

    Notes
    -----
    One individual: of each keypoint the peak is taken with the largest sum of its score and the
    mean support (affinity times score) by its partners along the edges, so that a reflection does
    not win that has no body. A peak out of reach of most others is left out.

    References
    ----------
    Cao et al. 2017 (CVPR, part affinity fields); redundant edges and several steps differ.

    Examples
    --------
    >>> peaks = Peaks(
    ...     frame=np.array([0, 0]), keypoint=np.array([0, 1]), xy=np.ones((2, 2), np.float32),
    ...     score=np.ones(2, np.float32), covariance=np.ones((2, 2, 2), np.float32),
    ...     pairs=np.array([[0, 1]]), edge=np.array([0]), affinity=np.array([0.9]), n_frames=3,
    ... )
    >>> print(assemble(peaks, Skeleton(["snout", "tail"], [("snout", "tail")])))
    Poses: 3 frames, 1 individual, 2 keypoints, 2D in px, 33 % found
    """
    _check(peaks, skeleton, individuals, min_keypoints, anatomy)
    if min_keypoints is None:
        min_keypoints = _choose_least(skeleton, individuals)
    if skeleton.landmarks:
        return _assemble_beside(
            peaks,
            skeleton,
            individuals=individuals,
            min_affinity=min_affinity,
            min_keypoints=min_keypoints,
            reach=reach,
            anatomy=anatomy,
        )
    limits = _find_limits(reach, len(skeleton.keypoints))
    peaks = _drop_unusable(peaks)
    far = _find_far(peaks, limits)
    if individuals == 1:
        affinity = np.where(far, 0, np.maximum(peaks.affinity, 0))
        slot = _pick_single(peaks, skeleton, affinity)
    else:
        weight = np.where(far, -1.0, peaks.affinity) - min_affinity
        slot = _find_slots(peaks, skeleton, weight, limits, individuals, min_keypoints)
    count = individuals or int(slot.max(initial=0)) + 1
    if anatomy is not None:
        slot = choose_peaks(peaks, slot, anatomy, count)
    if individuals == 1:
        slot = _drop_strays(peaks, slot, limits)
    return _fill(peaks, slot, skeleton, count)


def _choose_least(skeleton: Skeleton, individuals: int | None) -> int:
    """Choose from how many keypoints on a group is an animal."""
    count = len(skeleton.keypoints) - len(skeleton.landmarks)
    few = count <= 2 or not skeleton.edges
    quarter = -(-count // 4) if individuals is None else 0
    return 1 if few else max(2, quarter)


def _assemble_beside(peaks: Peaks, skeleton: Skeleton, **options: Any) -> Poses:
    """Assemble animals, and the best peak of each landmark as one more individual behind them."""
    of_nobody = np.isin(peaks.keypoint, skeleton.landmark_index)
    animals = assemble(peaks.pick(~of_nobody), replace(skeleton, landmarks=()), **options)
    marks = _drop_unusable(peaks.pick(of_nobody))
    best = _pick_single(marks, skeleton, marks.affinity.astype(np.float64))
    found = _fill(marks, best, skeleton, 1)
    return join_landmarks(replace(animals, skeleton=skeleton), found)


def _find_slots(
    peaks: Peaks,
    skeleton: Skeleton,
    weight: Floats,
    limits: Floats,
    individuals: int | None,
    min_keypoints: int,
) -> Ints:
    """Find the slot of each peak by the links of several animals; -1 = left out."""
    member = _group(peaks, skeleton, weight, limits, individuals)
    slot = _rank_groups(peaks, member, min_keypoints)
    if individuals is not None:
        slot[slot >= individuals] = -1
    return slot


def _check(
    peaks: Peaks,
    skeleton: Skeleton,
    individuals: int | None,
    min_keypoints: int | None,
    anatomy: Anatomy | None,
) -> None:
    """Refuse what does not fit."""
    count, edges = len(skeleton.keypoints), len(skeleton.edges)
    for name, rows, most in (("keypoint", peaks.keypoint, count), ("edge", peaks.edge, edges)):
        if len(rows) and (rows.min() < 0 or rows.max() >= most):
            raise ShapeError(
                f"peaks: the skeleton has {most} {name}s, came number {rows.max()}; "
                "use the skeleton of the model that found these peaks"
            )
    for name, number in (("individuals", individuals), ("min_keypoints", min_keypoints)):
        if number is not None and number < 1:
            raise SettingsError(f"{name}: wanted at least 1 or None, came {number}")
    if anatomy is not None and len(anatomy.mean) != count:
        raise ShapeError(
            f"anatomy: wanted {count} keypoints, came {len(anatomy.mean)}; "
            "use that of the model that found these peaks"
        )


def _find_limits(reach: AnyFloats | None, count: int) -> Floats:
    """Find the reach (K, K) with infinity for unknown, the same both ways."""
    if reach is None:
        return np.full((count, count), np.inf)
    limits = np.array(reach, np.float64)
    if limits.shape != (count, count):
        raise ShapeError(f"reach: wanted shape {(count, count)}, came {limits.shape}")
    limits[~(limits > 0)] = np.inf
    return np.asarray(np.minimum(limits, limits.T))


def _drop_unusable(peaks: Peaks) -> Peaks:
    """Leave out peaks and links with numbers that are not finite."""
    kept = np.asarray(np.isfinite(peaks.xy)).all(axis=1) & np.isfinite(peaks.score)
    linked = np.isfinite(peaks.affinity) & np.asarray(kept[peaks.pairs]).all(axis=1)
    if kept.all() and linked.all():
        return peaks
    _log.debug("left out %d peaks and %d links", (~kept).sum(), (~linked).sum())
    row = np.cumsum(kept) - 1
    return Peaks(
        frame=peaks.frame[kept],
        keypoint=peaks.keypoint[kept],
        xy=peaks.xy[kept],
        score=peaks.score[kept],
        covariance=peaks.covariance[kept],
        pairs=row[peaks.pairs[linked]],
        edge=peaks.edge[linked],
        affinity=peaks.affinity[linked],
        n_frames=peaks.n_frames,
    )


def _find_far(peaks: Peaks, limits: Floats) -> Bools:
    """Tell which links are longer than any animal allows, given the scatter of their ends."""
    a, b = peaks.pairs.T
    if not np.isfinite(limits).any():
        return np.zeros(len(a), bool)
    variance = np.nan_to_num(np.trace(peaks.covariance, axis1=1, axis2=2), posinf=0.0)
    allowed = limits[peaks.keypoint[a], peaks.keypoint[b]]
    allowed = allowed + 2 * np.sqrt(variance[a] + variance[b])
    x, y = (peaks.xy[a] - peaks.xy[b]).T
    return np.asarray(x * x + y * y > allowed * allowed)


def _group(
    peaks: Peaks, skeleton: Skeleton, weight: Floats, limits: Floats, most: int | None
) -> Ints:
    """Find the group of each peak."""
    for_ = np.flatnonzero(weight > 0)
    chosen = np.zeros(len(weight), bool)
    ends = peaks.pairs[for_] * max(len(skeleton.edges), 1) + peaks.edge[for_, None]
    chosen[for_[choose_links(ends, weight[for_])]] = True
    evidence = np.where(weight < 0, AGAINST * weight, weight)
    groups = group_peaks(peaks.keypoint, peaks.pairs, evidence, chosen)
    if np.isfinite(limits).any():
        loose = np.bincount(skeleton.edge_index.ravel(), minlength=len(limits)) == 0
        groups = join_fragments(
            groups, peaks.frame, peaks.keypoint, peaks.xy, limits, loose=loose, most=most
        )
    return groups.member


def _rank_groups(peaks: Peaks, member: Ints, min_keypoints: int) -> Ints:
    """Find the slot of each peak: its group's rank by total score in its frame; -1 = dropped."""
    found, first, member, size = np.unique(
        member, return_index=True, return_inverse=True, return_counts=True
    )
    total = np.bincount(member, peaks.score, minlength=len(found))
    frame = peaks.frame[first]
    valid = size >= min_keypoints
    order = np.lexsort((-total, ~valid, frame))
    rank = np.empty(len(found), np.int64)
    rank[order] = np.arange(len(found)) - np.searchsorted(frame[order], frame[order])
    return np.where(valid, rank, -1)[member]


def _pick_single(peaks: Peaks, skeleton: Skeleton, affinity: Floats) -> Ints:
    """Pick the best supported peak of each keypoint: slot 0; -1 = left out."""
    a, b = peaks.pairs.T
    edges, keypoints = skeleton.edge_index, len(skeleton.keypoints)
    # On each edge the best partner counts; then the mean over the keypoint's edges.
    best = np.zeros((len(peaks), 2, max(len(edges), 1)))
    np.maximum.at(best[:, 0], (a, peaks.edge), affinity * peaks.score[b])
    np.maximum.at(best[:, 1], (b, peaks.edge), affinity * peaks.score[a])
    degree = np.bincount(edges.ravel(), minlength=keypoints)
    value = peaks.score + best.sum(axis=(1, 2)) / np.maximum(degree, 1)[peaks.keypoint]
    order = np.lexsort((-value, peaks.keypoint, peaks.frame))
    place = peaks.frame[order] * keypoints + peaks.keypoint[order]
    picked = order[np.diff(place, prepend=-1) > 0]
    slot = np.full(len(peaks), -1)
    slot[picked] = 0
    return slot


def _drop_strays(peaks: Peaks, slot: Ints, limits: Floats) -> Ints:
    """Leave out those of one animal's peaks that are out of reach of most others, worst first."""
    picked = np.flatnonzero(slot == 0)
    table = np.full((peaks.n_frames, len(limits)), -1)
    table[peaks.frame[picked], peaks.keypoint[picked]] = np.arange(len(picked))
    stray = np.zeros(len(picked), bool)
    if not len(picked) or not np.isfinite(limits).any():
        return slot
    variance = np.nan_to_num(np.trace(peaks.covariance[picked], axis1=1, axis2=2), posinf=0.0)
    rows = np.arange(peaks.n_frames)
    while len(rows):
        here = table[rows]
        both = (here[:, :, None] >= 0) & (here[:, None] >= 0) & np.isfinite(limits)
        both &= ~np.eye(len(limits), dtype=bool)
        xy = peaks.xy[picked][here]
        gap = np.linalg.norm(xy[:, :, None] - xy[:, None], axis=-1)
        slack = 2 * np.sqrt(variance[here][:, :, None] + variance[here][:, None])
        far = both & (gap > limits + slack)
        share = far.sum(axis=2) / np.maximum(both.sum(axis=2), 1)
        # Of two that are equally far from the others the weaker one goes.
        worst = (share - 1e-3 * peaks.score[picked][here]).argmax(axis=1)
        bad = share[np.arange(len(rows)), worst] > 0.5
        stray[here[bad, worst[bad]]] = True
        rows = rows[bad]
        table[rows, worst[bad]] = -1
    slot = slot.copy()
    slot[picked[stray]] = -1
    return slot


def _fill(peaks: Peaks, slot: Ints, skeleton: Skeleton, individuals: int) -> Poses:
    """Put peaks into their slots."""
    shape = (peaks.n_frames, individuals, len(skeleton.keypoints))
    array = np.full((*shape, 3), np.nan, np.float32)
    array[..., 2] = 0
    covariance = np.full((*shape, 2, 2), np.nan, np.float32)
    kept = slot >= 0
    at = (peaks.frame[kept], slot[kept], peaks.keypoint[kept])
    array[(*at, slice(2))] = peaks.xy[kept]
    array[(*at, 2)] = peaks.score[kept]
    covariance[at] = peaks.covariance[kept]
    return Poses(array, skeleton, covariance=covariance)
