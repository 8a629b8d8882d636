"""What is asked of a doubtful moment by those who show it and those who settle it."""

from __future__ import annotations

from typing import Protocol


class Doubt(Protocol):
    """A time in which two animals may have been exchanged, such as `mapose.tracking.Swap`."""

    @property
    def first(self) -> int:
        """First frame in question."""

    @property
    def last(self) -> int:
        """Last frame in question."""

    @property
    def individuals(self) -> tuple[str, str]:
        """Names of the two."""

    @property
    def probability(self) -> float:
        """That they were exchanged."""
