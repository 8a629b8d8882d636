"""Choose among candidate peaks by where they lie on the animals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mapose.anatomy import FREEDOM, Anatomy, find_mahalanobis, to_complex
from mapose.arrays import Complexes, Floats, Ints, Singles
from mapose.decode.links import choose_links
from mapose.expectation import FOUND, place_keypoints
from mapose.poses import Peaks

#: Weight of the place against the logarithm of the score. Percentage of keypoints right without
#: anatomy, then with weights of 0.05, 0.1, 0.2, 0.3 and 1:
#: drawn mice         82.3   88.1  88.4  88.1  87.4  86.0
#: flies, two models  96.6   97.3  97.3  97.3  97.2  96.9
#: crowds             89.7   98.7  98.7  98.6  98.5  98.2
PLACE = 0.1
#: Largest squared distance, in standard deviations, at which a place takes a peak that was not
#: its own; 3 % of the true ones lie further off. With 60 the mice gain 0.2 %, but of the gaps
#: that it fills besides only half are filled rightly.
FARTHEST = 20.0
#: Value of an empty place, below that of any peak within `FARTHEST`.
_EMPTY = -12.0
#: One is too few where much was grouped wrongly (mice 86.8 %); a fourth changes nothing.
_ROUNDS = 3


def choose_peaks(peaks: Peaks, slot: Ints, anatomy: Anatomy, individuals: int) -> Ints:
    """Choose among the peaks of each keypoint by where they lie on the animals.

    Each place, that is a keypoint of an animal, values a peak by its score and by its distance
    from where the animal's other keypoints say that it is. The peaks of a keypoint are then given
    to the animals so that the sum of the values is largest; none to two. An empty place takes a
    peak too, if one lies near enough. A place is judged if at least two other keypoints of the
    animal were found.

    Parameters
    ----------
    peaks : Peaks
        Candidates of a run of frames; all numbers finite.
    slot : int64, (N,)
        Animal of each peak in its frame, -1 = none; no animal has a keypoint twice.
    anatomy : Anatomy
        Of the K keypoints that the peaks refer to.
    individuals : int
        Slots per frame.

    Returns
    -------
    int64, (N,)
        New slots; the peaks of keypoints that the anatomy does not know keep theirs.

    Notes
    -----
    The value is log(score) less `PLACE` times the negative logarithm of Student's density about
    the place where the animal's other keypoints put it, see `mapose.expectation.place_keypoints`.
    """
    xy = to_complex(peaks.xy)
    slot, rows = slot.copy(), np.arange(len(peaks))
    for _ in range(_ROUNDS):
        # Only frames in which something changed can change again.
        frame = np.unique(peaks.frame[rows], return_inverse=True)[1]
        found = _Found(frame, peaks.keypoint[rows], xy[rows], peaks.score[rows])
        chosen = _choose_once(found, slot[rows], anatomy, individuals)
        changed = np.zeros(peaks.n_frames, bool)
        changed[peaks.frame[rows[chosen != slot[rows]]]] = True
        slot[rows] = chosen
        rows = np.flatnonzero(changed[peaks.frame])
        if not len(rows):
            break
    return slot


class _Found(NamedTuple):
    """Peaks of some frames, numbered from 0 without gaps."""

    frame: Ints
    keypoint: Ints
    xy: Complexes
    score: Singles


def _choose_once(found: _Found, slot: Ints, anatomy: Anatomy, individuals: int) -> Ints:
    """Choose anew with the bodies as the present slots lay them."""
    place, turn, spread = _place_all(found, slot, anatomy, individuals)
    # One candidate each: a peak, and an animal of its frame that may take it.
    row, who = np.nonzero(np.isfinite(place[found.frame, :, found.keypoint]))
    at = (found.frame[row], who, found.keypoint[row])
    gap = (found.xy[row] - place[at]) / turn[at]
    far = find_mahalanobis(gap, spread[at], np.full(len(row), FOUND**2))
    own = slot[row] == who
    able = own | (far <= FARTHEST)
    row, who, far, own = row[able], who[able], far[able], own[able]
    value = np.log(np.maximum(found.score[row], 1e-3)) - PLACE * _find_loss(far)
    number = (found.frame[row] * individuals + who) * len(anatomy.mean) + found.keypoint[row]
    taken = choose_links(np.stack([number, row], 1), np.maximum(value - _EMPTY, 1e-3))
    chosen = slot.copy()
    chosen[row[own]] = -1
    chosen[row[taken]] = who[taken]
    return chosen


def _place_all(
    found: _Found, slot: Ints, anatomy: Anatomy, individuals: int
) -> tuple[Complexes, Complexes, Floats]:
    """Find where each keypoint (F, I, K) should be, whatever was found of it."""
    known = np.asarray(np.isfinite(anatomy.mean).all(-1))
    held = (slot >= 0) & known[found.keypoint]
    at = (found.frame[held], slot[held], found.keypoint[held])
    shape = (found.frame.max(initial=-1) + 1, individuals, len(known))
    z, score = np.zeros(shape, np.complex128), np.zeros(shape)
    z[at] = found.xy[held]
    score[at] = found.score[held] + 0.05
    place, turn, spread = place_keypoints(z, score, anatomy)
    return np.where(known, place, np.nan), turn, spread


def _find_loss(far: Floats) -> Floats:
    """Negative logarithm of Student's density in two dimensions, up to a constant."""
    return np.asarray((FREEDOM + 2) / 2 * np.log1p(far / FREEDOM))
