"""Exact medians of more numbers than memory shall hold: they are gone through twice."""

from __future__ import annotations

import numpy as np

from mapose.arrays import AnyFloats, Floats, Ints

# Of a number's 64 bits those that tell its bucket: sign, exponent and the first seven of the rest.
_SHIFT = 64 - 19


class MedianFinder:
    """Finds the median of numbers that are 0 or more, whatever their order.

    All of them are first counted, then all of them are sifted: of those that are counted only the
    few that lie as near to the median as its first bits tell are held, equal ones once.

    Examples
    --------
    >>> finder, numbers = MedianFinder(), [np.array([5.0, 1.0]), np.array([2.0, 9.0])]
    >>> for some in numbers:
    ...     finder.count(some)
    >>> for some in numbers:
    ...     finder.sift(some)
    >>> finder.find()
    3.5
    """

    def __init__(self) -> None:
        self._counts = np.zeros(1 << 18, np.int64)
        # First and last bucket that the median takes part in, once it is known.
        self._ends: tuple[int, int] | None = None
        self._held: list[tuple[Floats, Ints]] = []

    @property
    def total(self) -> int:
        """How many were counted."""
        return int(self._counts.sum())

    def count(self, values: AnyFloats) -> None:
        """Count some numbers, float (N,), none below 0 and no NaN."""
        if not len(values):
            return
        buckets = _find_buckets(values)
        # Of the counts only those that are needed take memory.
        low = int(buckets.min())
        found = np.bincount(buckets - low)
        self._counts[low : low + len(found)] += found
        self._ends = None

    def sift(self, values: AnyFloats) -> None:
        """Hold those of some numbers that may be the median; all were counted before."""
        low, high = self._find_middle()
        buckets = _find_buckets(values)
        near = values[(buckets >= low) & (buckets <= high)].astype(np.float64)
        if len(near):
            self._held.append(np.unique(near, return_counts=True))

    def find(self) -> float:
        """Give the median of all; NaN of nothing."""
        total = self.total
        if not total:
            return float("nan")
        held, counts = (np.concatenate(some) for some in zip(*self._held, strict=True))
        order = np.argsort(held)
        before = int(self._counts[: self._find_middle()[0]].sum())
        ends = before + np.cumsum(counts[order])
        middle = np.searchsorted(ends, [(total - 1) // 2, total // 2], side="right")
        return float(held[order[middle]].mean())

    def _find_middle(self) -> tuple[int, int]:
        if self._ends is None:
            ends = np.cumsum(self._counts)
            middle = [(int(ends[-1]) - 1) // 2, int(ends[-1]) // 2]
            low, high = np.searchsorted(ends, middle, side="right")
            self._ends = int(low), int(high)
        return self._ends


def _find_buckets(values: AnyFloats) -> Ints:
    """Give each number its bucket; a greater one is in the same or in a later one."""
    wide = np.ascontiguousarray(values, np.float64) + 0.0  # -0.0 becomes 0.0
    return np.asarray(wide.view(np.int64) >> _SHIFT)
