"""Frames in which a result is probably wrong, ranked, each with its reason in words."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Ints

#: Reasons that count; see `mapose.selection.criteria` for what each of them measures.
KINDS = ("confidence", "jump", "swap", "pose", "identity", "reprojection", "disagreement")
#: What is rarer than this share of a recording is out of the ordinary in it.
RARE = 0.01
# Where more is wrong than that, what exceeds so many times what every tenth value exceeds.
_OFTEN, _TIMES = 0.1, 4.0
#: Reasons of one kind that are kept at most: more than anybody looks at.
_MOST = 2000
#: With 0, 0.1, 0.2 and 0.3, 56.3, 57.2, 57.2 and 56.9 of 60 faults that were put into the result of
#: two flies are among the first 90 frames with the right reason (mean of ten seeds).
_DISCOUNT = 0.2


# Reasons that are told of a frame.
_SAID = 3


@dataclass(frozen=True)
class Reason:
    """Why a frame is probably wrong.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    score : float
        How far out of the ordinary it is: 1 as the rarest hundredth of the recording, and at least
        as much as is worth a look anywhere.
    text : str
        In words.
    individuals : tuple of str
        Whom it is about; nobody for what is about the frame.
    keypoint : str
        What it is about; empty for the whole animal.
    """

    kind: str
    score: float
    text: str
    individuals: tuple[str, ...] = ()
    keypoint: str = ""


@dataclass(frozen=True)
class Outlier:
    """A frame that is probably wrong.

    Parameters
    ----------
    frame : int
        Video frame.
    reasons : tuple of Reason
        Strongest first.

    Examples
    --------
    >>> print(Outlier(12, (Reason("jump", 3.0, "ann jumps by 80 px"),)))
    frame 12: ann jumps by 80 px
    """

    frame: int
    reasons: tuple[Reason, ...]

    @property
    def score(self) -> float:
        """Those of its reasons together, as far as they are about the same."""
        return _add_up((reason, reason.score) for reason in self.reasons)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the reasons, strongest first."""
        return tuple(dict.fromkeys(reason.kind for reason in self.reasons))

    def __str__(self) -> str:
        return f"frame {self.frame}: {self.describe()}"

    def describe(self) -> str:
        """Say what is wrong, the strongest reasons only."""
        said = [reason.text for reason in self.reasons[:_SAID]]
        more = len(self.reasons) - _SAID
        return "; ".join([*said, *([f"and {more} more"] if more > 0 else [])])

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers and words, ready for JSON."""
        return {
            "frame": self.frame,
            "score": round(self.score, 3),
            "kinds": list(self.kinds),
            "reasons": [reason.text for reason in self.reasons],
            "individuals": sorted({name for reason in self.reasons for name in reason.individuals}),
        }


def _add_up(reasons: Iterable[tuple[Reason, float]]) -> float:
    """Add up the highest score of each kind about one keypoint, or about the whole animal."""
    best: dict[tuple[tuple[str, ...], str], dict[str, float]] = {}
    for reason, score in reasons:
        kinds = best.setdefault((reason.individuals, reason.keypoint), {})
        kinds[reason.kind] = max(kinds.get(reason.kind, 0.0), score)
    whole = {who: sum(kinds.values()) for (who, keypoint), kinds in best.items() if not keypoint}
    parts = [sum(kinds.values()) + whole.get(who, 0) for (who, k), kinds in best.items() if k]
    return max([*whole.values(), *parts])


def _list_topics(reasons: Iterable[Reason]) -> set[tuple[str, str]]:
    """List kind and animal of reasons; those about nobody are about the frame."""
    return {(reason.kind, name) for reason in reasons for name in reason.individuals or ("",)}


def _discount(same_kind: int, same_keypoint: int) -> float:
    """Find what is left of a score after so many of its kind, and of its kind and keypoint."""
    return float(((1 + same_kind) * (1 + same_keypoint)) ** -_DISCOUNT)


def rank_outliers(
    found: Iterable[tuple[int, Reason]], count: int | None = None, *, apart: int = 8
) -> list[Outlier]:
    """Rank frames by how much is wrong in them, each teaching something else.

    Parameters
    ----------
    found : iterable of (int, Reason)
        Frames and what is wrong in them.
    count : int, optional
        Frames wanted; all by default.
    apart : int
        Frames nearer than this to one that is ranked higher for the same kind of reason, about one
        of the same animals, are left out.

    Returns
    -------
    list of Outlier
        Best first.

    Notes
    -----
    After n frames with a reason of the same kind and m of the same kind at the same keypoint, a
    reason counts ((1 + n) (1 + m)) to the power of -`_DISCOUNT` of its score: many faults of one
    sort do not crowd out the others. Reasons of different kinds about the same keypoint add up.

    Examples
    --------
    >>> limb = Reason("pose", 2.0, "a paw is off", ("ann",), "paw")
    >>> jump = Reason("jump", 1.6, "ann jumps", ("ann",))
    >>> [o.frame for o in rank_outliers([(10, limb), (50, limb), (90, jump), (92, jump)])]
    [10, 90, 50]
    """
    frames: dict[int, list[Reason]] = {}
    for frame, reason in found:
        frames.setdefault(frame, []).append(reason)
    outliers = [
        Outlier(frame, tuple(sorted(reasons, key=lambda r: (-r.score, r.text))))
        for frame, reasons in sorted(frames.items())
    ]
    ranked: list[Outlier] = []
    often: Counter[object] = Counter()
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def value(outlier: Outlier) -> float:
        return _add_up(
            (r, r.score * _discount(often[r.kind], often[r.kind, r.keypoint]))
            for r in outlier.reasons
        )

    # Values only fall: the one whose value is still the best after it was found anew is the best.
    heap = [(-value(outlier), outlier.frame, outlier) for outlier in outliers]
    heapq.heapify(heap)
    while heap and (count is None or len(ranked) < count):
        _, frame, outlier = heapq.heappop(heap)
        now = value(outlier)
        if heap and (-now, frame) > heap[0][:2]:
            heapq.heappush(heap, (-now, frame, outlier))
            continue
        told = _list_topics(outlier.reasons[:1])
        if any(abs(frame - near) < apart for topic in told for near in places[topic]):
            continue
        ranked.append(outlier)
        for topic in _list_topics(outlier.reasons):
            places[topic].append(frame)
        often.update({reason.kind for reason in outlier.reasons})
        often.update({(r.kind, r.keypoint) for r in outlier.reasons if r.keypoint})
    return ranked


def compare_with_usual(values: AnyFloats, least: float) -> AnyFloats:
    """Divide values by what is rare among them, but at least by what is worth a look at all.

    Parameters
    ----------
    values : float, (...)
        At least 0; NaN = not known.
    least : float
        What is never out of the ordinary.

    Returns
    -------
    float, (...)
        1 = rare; 0 where not known.
    """
    known = values[np.isfinite(values)]
    often, rare = np.quantile(known, [1 - _OFTEN, 1 - RARE]) if known.size else (0.0, 0.0)
    usual = min(float(rare), _TIMES * float(often))
    return np.nan_to_num(values / max(usual, least), nan=0.0, posinf=0.0)


def find_peaks_in_time(
    score: AnyFloats, frames: Ints, *, apart: int, least: float = 1.0
) -> list[tuple[int, ...]]:
    """Find where scores are the highest of their surroundings in time.

    Parameters
    ----------
    score : float, (F, ...)
        0 or more.
    frames : int64, (F,)
        Video frames of the rows, ascending.
    apart : int
        Frames to either side that belong together.
    least : float
        Lowest score that counts; with 1, what is out of the ordinary.

    Returns
    -------
    list of tuple of int
        Places, highest score first.
    """
    top = np.asarray((score >= least) & (score > 0))
    for shift in range(1, min(apart, len(score) - 1) + 1):
        near = frames[shift:] - frames[:-shift] <= apart
        far = ~near.reshape(-1, *[1] * (score.ndim - 1))
        top[:-shift] &= far | (score[:-shift] >= score[shift:])
        top[shift:] &= far | (score[shift:] > score[:-shift])
    places = np.argwhere(top)
    order = np.argsort(-score[top], kind="stable")[:_MOST]
    return [tuple(int(n) for n in place) for place in places[order]]
