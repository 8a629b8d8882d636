"""Edits and sightings, and what they need to know of poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mapose.errors import SettingsError, suggest_name
from mapose.poses import Poses

KINDS = ("swap", "keep", "name")
# So many frames tell how long the animals are.
_SAMPLE = 2000


@dataclass(frozen=True)
class Sighting:
    """Where the centre of an animal was in a frame.

    Parameters
    ----------
    frame : int
        Video frame.
    place : tuple of float, (2,) or (3,)
        Mean of the keypoints that are there, in the unit of the poses.
    """

    frame: int
    place: tuple[float, ...]


Sightings = tuple[Sighting, ...]


@dataclass(frozen=True)
class Edit:
    """What a person said about the names of two animals at one moment.

    Parameters
    ----------
    frame : int
        Video frame from which on it holds.
    individuals : (str, str)
        What they are called, for people to read: animals are found by their places, and by
        names only where there are no places. For ``"name"`` the old name and the new one.
    kind : {"swap", "keep", "name"}
        These two are swapped from here on; they are rightly named although that was in doubt;
        this one is called so throughout.
    before, after : (tuple of Sighting, tuple of Sighting)
        Where the first and the second of them were before and after the moment, each the same
        animal in both; several sightings, as a tracker may err in one frame or miss it. Empty =
        not seen. ``"name"`` has the first of ``after`` only.
    recording : str
        Fingerprint of the recording that it is about; empty = not known.
    notes : dict of str
        What a person wrote into columns of their own.

    Raises
    ------
    SettingsError
        If the kind is unknown, or there are not two different names.
    """

    frame: int
    individuals: tuple[str, str]
    kind: str = "swap"
    before: tuple[Sightings, Sightings] = ((), ())
    after: tuple[Sightings, Sightings] = ((), ())
    recording: str = field(default="", compare=False)
    notes: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"edit: no kind {self.kind!r}: {suggest_name(self.kind, KINDS)}")
        if len(set(self.individuals)) != 2 or not all(self.individuals):
            raise SettingsError(
                f"edit: wanted two different names, came {' and '.join(self.individuals)}"
            )

    def __str__(self) -> str:
        first, second = self.individuals
        if self.kind == "name":
            return f"frame {self.frame}: {first} is called {second}"
        what = "swapped from here on" if self.kind == "swap" else "named rightly"
        return f"frame {self.frame}: {first} and {second} are {what}"

    @property
    def links(self) -> list[tuple[Sightings, Sightings]]:
        """Sightings before and after of each animal that has both."""
        return [(a, b) for a, b in zip(self.before, self.after, strict=True) if a and b]

    @property
    def span(self) -> tuple[int, int]:
        """First and last frame between which the edit says who is who."""
        seen = [s for before, after in self.links for s in (before[0], after[0])]
        frames = [self.frame, *(s.frame for s in seen)]
        return min(frames), max(frames)


def find_body_length(poses: Poses) -> float:
    """Find the typical length of an animal: the median diagonal of its keypoints' box.

    Returns
    -------
    float
        In the unit of the poses; infinite where poses have one keypoint and thus no length.
    """
    points = poses.points[:: 1 + len(poses) // _SAMPLE]
    sides = np.fmax.reduce(points, axis=2) - np.fmin.reduce(points, axis=2)
    length = np.linalg.norm(sides.astype(np.float64), axis=-1)
    length = length[length > 0]
    return float(np.median(length)) if length.size else np.inf
