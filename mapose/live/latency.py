"""How long every stage takes: percentiles in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mapose.arrays import Ints

#: Shortest time that is told from 0, seconds, and how many steps double a time: within 3 %.
_SHORTEST, _STEPS, _DOUBLINGS = 1e-5, 24, 24


class Histogram:
    """Counts of times on a logarithmic scale: as much memory for an hour as for a second.

    Examples
    --------
    >>> times = Histogram()
    >>> for n in range(1, 101):
    ...     times.add(n / 1000)
    >>> round(times.find_percentile(50), 3), round(times.find_percentile(95), 3), times.longest
    (0.05, 0.095, 0.1)
    """

    def __init__(self) -> None:
        self.counts: Ints = np.zeros(_STEPS * _DOUBLINGS + 1, np.int64)
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Take in a time, seconds."""
        place = np.log2(max(seconds, _SHORTEST) / _SHORTEST) * _STEPS
        self.counts[min(round(place), len(self.counts) - 1)] += 1
        self.longest = max(self.longest, seconds)

    def find_percentile(self, percent: float) -> float:
        """Find the time that so many per cent do not exceed, seconds; NaN without any."""
        total = self.counts.sum()
        if not total:
            return float("nan")
        place = int(np.searchsorted(np.cumsum(self.counts), percent / 100 * total))
        return min(_SHORTEST * 2 ** (place / _STEPS), self.longest)


@dataclass
class Latency:
    """Times of the stages between an exposure and its answer, by name."""

    stages: dict[str, Histogram] = field(default_factory=dict)

    def add(self, times: Mapping[str, float]) -> None:
        """Take in how long the stages of one set took, seconds."""
        for stage, seconds in times.items():
            self.stages.setdefault(stage, Histogram()).add(seconds)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Give p50, p95, p99 and the longest time of each stage, milliseconds."""
        return {
            stage: {
                **{f"p{p}": 1000 * times.find_percentile(p) for p in (50, 95, 99)},
                "longest": 1000 * times.longest,
            }
            for stage, times in self.stages.items()
        }

    def __str__(self) -> str:
        rows = [f"{'stage':<20}{'p50':>8}{'p95':>8}{'p99':>8}{'longest':>9}  ms"]
        for stage, row in self.to_dict().items():
            values = "".join(f"{row[key]:>8.1f}" for key in ("p50", "p95", "p99"))
            rows.append(f"{stage:<20}{values}{row['longest']:>9.1f}")
        return "\n".join(rows)
