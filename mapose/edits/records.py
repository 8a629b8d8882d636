"""Edits and sightings, and what they need to know of poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mapose.errors import SettingsError, suggest_name
from mapose.poses import Poses

#: Who is who from a frame on, in the order of frames.
LINKING = ("swap", "keep", "join", "split")
#: What is where in some frames, in the order in which it was said.
POINTWISE = ("move", "delete")
KINDS = (*LINKING, "name", *POINTWISE)
# Kinds that are about one individual, and may leave the second name empty.
_SINGLE = POINTWISE
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
    """What a person said about the names or the points of animals at one moment.

    Parameters
    ----------
    frame : int
        Video frame from which on it holds.
    individuals : (str, str)
        What they are called, for people to read: animals are found by their places, and by
        names only where there are no places. For ``"name"`` and ``"split"`` the old name and
        the new one, for ``"join"`` first the one that is kept; for ``"move"`` and ``"delete"``
        the second is empty.
    kind : {"swap", "keep", "name", "join", "split", "move", "delete"}
        These two are swapped from here on; they are rightly named although that was in doubt;
        this one is called so throughout; the second track is the first animal from here on; from
        here on the first track is another animal; a keypoint is elsewhere; a keypoint, or the
        whole individual, is not there.
    before, after : (tuple of Sighting, tuple of Sighting)
        Where the first and the second of them were before and after the moment, each the same
        animal in both; several sightings, as a tracker may err in one frame or miss it. Empty =
        not seen. ``"name"`` has the first of ``after`` only, ``"join"`` and ``"split"`` the first
        of each; ``"move"`` and ``"delete"`` have in the first of ``before`` where the individual
        is found, and ``"move"`` in the first of ``after`` where the keypoint is.
    recording : str
        Fingerprint of the recording that it is about; empty = not known.
    last : int, optional
        Last video frame of a ``"delete"``; by default ``frame``.
    keypoint : str
        Of a ``"move"`` or ``"delete"``; empty = all of them.
    notes : dict of str
        What a person wrote into columns of their own.

    Raises
    ------
    SettingsError
        If the kind is unknown, or names or frames do not fit it.
    """

    frame: int
    individuals: tuple[str, str]
    kind: str = "swap"
    before: tuple[Sightings, Sightings] = ((), ())
    after: tuple[Sightings, Sightings] = ((), ())
    recording: str = field(default="", compare=False)
    last: int | None = None
    keypoint: str = ""
    notes: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"edit: no kind {self.kind!r}: {suggest_name(self.kind, KINDS)}")
        first, second = self.individuals
        single = self.kind in _SINGLE and not second
        if not first or first == second or not (second or single):
            raise SettingsError(
                "edit: wanted two different names, came "
                + " and ".join(map(repr, self.individuals))
            )
        if self.last is not None and self.last < self.frame:
            raise SettingsError(f"edit: wanted a last frame from {self.frame} on, came {self.last}")
        if self.kind == "move" and not (self.keypoint and len(self.after[0]) == 1):
            raise SettingsError("edit: wanted a keypoint to move and where it is")

    def __str__(self) -> str:
        first, second = self.individuals
        words = {
            "swap": f"{first} and {second} are swapped from here on",
            "keep": f"{first} and {second} are named rightly",
            "name": f"{first} is called {second}",
            "join": f"{first} and {second} are one animal, {first}",
            "split": f"{first} is another animal from here on, {second}",
        }
        what = f"{self.keypoint} of {first}" if self.keypoint else first
        if self.kind == "move":
            place = ", ".join(f"{x:.1f}" for x in self.after[0][0].place)
            words["move"] = f"{what} is at {place}"
        until = "" if self.end == self.frame else f" up to frame {self.end}"
        words["delete"] = f"{what} is deleted{until}"
        return f"frame {self.frame}: {words[self.kind]}"

    @property
    def end(self) -> int:
        """Last frame that a ``"move"`` or ``"delete"`` is about."""
        return self.frame if self.last is None else self.last

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
