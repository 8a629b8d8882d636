"""Count mistakes that are no matter of distance: sides confused, absent keypoints shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Ints
from mapose.metrics.overlap import find_marked
from mapose.skeleton import Pair, Skeleton


@dataclass(frozen=True, eq=False)
class SideErrors:
    """How often left was taken for right.

    Attributes
    ----------
    pairs : tuple of pairs of str, (P,)
        Left and right keypoints, `Skeleton.mirror`.
    compared, confused : int64, (P,)
        Found keypoints of each pair where both sides are labelled, and those of them that lie
        nearer to the label of the other side than to their own.
    """

    pairs: tuple[Pair, ...]
    compared: Ints
    confused: Ints

    @property
    def share(self) -> float:
        """Share of all that were compared, NaN without any."""
        total = int(self.compared.sum())
        return float(self.confused.sum() / total) if total else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        each = {
            f"{a}/{b}": {"compared": int(n), "confused": int(m)}
            for (a, b), n, m in zip(self.pairs, self.compared, self.confused, strict=True)
        }
        return {"confused": _to_plain(self.share), "pairs": each}

    def __str__(self) -> str:
        if not self.compared.sum():
            return "left and right: nothing to compare"
        worst = int(self.confused.argmax())
        most = ""
        if self.confused[worst]:
            names, count = "/".join(self.pairs[worst]), self.confused[worst]
            most = f", most of {names} ({count} of {self.compared[worst]})"
        return f"left and right confused: {100 * self.share:.1f}% of {self.compared.sum()}{most}"


def find_side_errors(truth: AnyFloats, matched: AnyFloats, skeleton: Skeleton) -> SideErrors:
    """Count how often left was taken for right.

    Parameters
    ----------
    truth : float, (F, I, K, 2)
        Labels, px; NaN = not labelled.
    matched : float, (F, I, K, 2)
        What was found for each labelled animal, see `pick_matched`; NaN = missing.
    skeleton : Skeleton
        Its mirror pairs are the sides.

    Returns
    -------
    SideErrors

    Examples
    --------
    >>> flies = Skeleton(["head", "wingL", "wingR"], mirror=[("wingL", "wingR")])
    >>> truth = np.array([[[[0.0, 0], [5, 5], [5, -5]]]])
    >>> print(find_side_errors(truth, truth[:, :, [0, 2, 1]], flies))
    left and right confused: 100.0% of 2, most of wingL/wingR (2 of 2)
    """
    compared, confused = [], []
    for left, right in skeleton.mirror:
        sides = [skeleton.index(left), skeleton.index(right)]
        own, other = truth[:, :, sides], truth[:, :, sides[::-1]]
        to_own = np.linalg.norm(matched[:, :, sides] - own, axis=-1)
        to_other = np.linalg.norm(matched[:, :, sides] - other, axis=-1)
        compared.append(int((np.isfinite(to_own) & np.isfinite(to_other)).sum()))
        confused.append(int((to_other < to_own).sum()))
    return SideErrors(skeleton.mirror, np.array(compared, int), np.array(confused, int))


@dataclass(frozen=True, eq=False)
class Presence:
    """How often what can be seen is shown, and what cannot is said to be absent.

    Attributes
    ----------
    cutoff : float
        Confidence from which a keypoint is shown.
    visible, absent : int64, (K,)
        Labelled keypoints of labelled animals, and those that were looked for but are not there.
    shown, hidden : int64, (K,)
        Visible ones that are shown, and absent ones that are not.
    empty, quiet : int
        Frames labelled as without any animal, and those of them where no animal was found.
    keypoints : tuple of str, (K,)
        Names.
    """

    cutoff: float
    visible: Ints
    absent: Ints
    shown: Ints
    hidden: Ints
    empty: int
    quiet: int
    keypoints: tuple[str, ...]

    @property
    def shown_share(self) -> float:
        """Share of the visible keypoints that are shown, NaN without any."""
        return _divide(self.shown.sum(), self.visible.sum())

    @property
    def hidden_share(self) -> float:
        """Share of the absent keypoints that are said to be absent, NaN without any."""
        return _divide(self.hidden.sum(), self.absent.sum())

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        each = {
            name: {
                "visible": int(self.visible[k]),
                "shown": int(self.shown[k]),
                "absent": int(self.absent[k]),
                "said_absent": int(self.hidden[k]),
            }
            for k, name in enumerate(self.keypoints)
        }
        return {
            "shown": _to_plain(self.shown_share),
            "said_absent": _to_plain(self.hidden_share),
            "empty_frames": self.empty,
            "empty_frames_without_animals": self.quiet,
            "keypoints": each,
        }

    def __str__(self) -> str:
        words = [
            f"{100 * self.shown_share:.1f}% of {self.visible.sum()} visible keypoints shown"
            if self.visible.sum()
            else "no visible keypoints"
        ]
        if self.absent.sum():
            words += [f"{100 * self.hidden_share:.1f}% of {self.absent.sum()} absent said absent"]
        if self.empty:
            words += [f"nothing found in {self.quiet} of {self.empty} empty frames"]
        return f"at confidence {self.cutoff:g}: " + ", ".join(words)


def find_presence(
    truth: AnyFloats,
    confidence: AnyFloats,
    *,
    known: Bools,
    found: AnyFloats,
    keypoints: tuple[str, ...],
    cutoff: float = 0.6,
) -> Presence:
    """Count what is shown of the visible keypoints and said to be absent of the absent ones.

    Parameters
    ----------
    truth : float, (F, I, K, 2)
        Labels, px; NaN = not marked. An animal without any mark in a frame does not count.
    confidence : float, (F, I, K)
        Of the animal found for each labelled one, see `pick_matched`; 0 = not found.
    known : bool, (F, K)
        Whether the keypoint was looked for in the frame: then it is absent where it is not marked.
    found : float, (F, J, K)
        Confidence of all found animals.
    keypoints : tuple of str, (K,)
        Names.
    cutoff : float
        Confidence from which a keypoint is shown.

    Returns
    -------
    Presence

    Examples
    --------
    >>> truth = np.array([[[[5.0, 5], [np.nan, np.nan]]]])
    >>> sure = np.array([[[0.9, 0.2]]])
    >>> looked = np.ones((1, 2), bool)
    >>> print(find_presence(truth, sure, known=looked, found=sure, keypoints=("snout", "tongue")))
    at confidence 0.6: 100.0% of 1 visible keypoints shown, 100.0% of 1 absent said absent
    """
    marked = find_marked(truth)
    absent = ~marked & known[:, None] & marked.any(-1, keepdims=True)
    is_shown = np.asarray(confidence) >= cutoff
    empty = ~marked.any((1, 2))
    quiet = empty & ~(np.asarray(found) >= cutoff).any((1, 2))
    return Presence(
        cutoff=cutoff,
        visible=marked.sum((0, 1)),
        absent=absent.sum((0, 1)),
        shown=(marked & is_shown).sum((0, 1)),
        hidden=(absent & ~is_shown).sum((0, 1)),
        empty=int(empty.sum()),
        quiet=int(quiet.sum()),
        keypoints=keypoints,
    )


def find_rates(
    truth: AnyFloats, confidence: AnyFloats, *, known: Bools, cutoffs: Floats
) -> tuple[Floats, Floats]:
    """Find shares of visible keypoints shown and of absent ones not shown, for many cutoffs.

    Parameters
    ----------
    truth, confidence, known
        As in `find_presence`.
    cutoffs : float64, (N,)
        Confidences.

    Returns
    -------
    shown, hidden : float64, (N,)
        NaN without visible or absent keypoints.
    """
    marked = find_marked(truth)
    absent = ~marked & known[:, None] & marked.any(-1, keepdims=True)
    seen, gone = (np.sort(np.asarray(confidence)[part]) for part in (marked, absent))
    shown = 1 - np.searchsorted(seen, cutoffs) / max(len(seen), 1)
    hidden = np.searchsorted(gone, cutoffs) / max(len(gone), 1)
    nothing = np.full(len(cutoffs), np.nan)
    return shown if len(seen) else nothing, hidden if len(gone) else nothing


def _divide(part: Any, total: Any) -> float:
    return float(part / total) if total else float("nan")


def _to_plain(value: float) -> float | None:
    return None if value != value else float(value)
