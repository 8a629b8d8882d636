"""What a format has no place for: said when poses are written that have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mapose.parts import Parts
from mapose.poses import Poses

_ALL = {"confidence", "rate", "unit", "identity", "covariance", "edges", "mirror", "slots", "name"}
_ALL |= {"gaps", "unseen", "end", "support", "edited", "cameras", "landmarks", "untimed"}
_TABLE = {"confidence", "slots", "name", "gaps", "unseen", "end", "landmarks", "untimed"}
# What each format holds, of `_ALL`.
_HELD: dict[str, set[str]] = {
    "mapose": _ALL,
    "movement": _TABLE | {"rate", "unit", "identity", "support", "edited"},
    "nwb": _ALL - {"mirror", "covariance"},
    "csv": _TABLE | {"identity", "edited"},
    "anipose": _TABLE - {"name"} | {"support"},
    "dlc-h5": _TABLE,
    "dlc-csv": _TABLE,
    "slp": {"confidence", "edges", "mirror", "name", "end", "landmarks", "untimed", "edited"},
    "coco": {"edges", "name", "landmarks", "gaps", "untimed", "edited"},
    "trc": {"rate", "unit", "slots", "gaps", "unseen", "end", "landmarks"},
}
_WORDS = {
    "confidence": "confidences",
    "rate": "the rate",
    "unit": "the unit",
    "identity": "probabilities of names",
    "covariance": "covariances",
    "edges": "edges",
    "mirror": "left/right pairs",
    "slots": "the places of individuals without names",
    "name": "the name of a single individual",
    "gaps": "which frames were left out",
    "unseen": "individuals that are never seen",
    "end": "frames at the end in which nobody is seen",
    "support": "what points rest on",
    "edited": "which points a person edited",
    "cameras": "cameras",
    "untimed": "times, as the rate is not known: they are frames",
    "landmarks": "which keypoints belong to no animal",
}


def find_losses(
    poses: Poses | Parts,
    format: str,
    *,
    support: Mapping[str, Any] | None = None,
    cameras: str | None = None,
) -> dict[str, str]:
    """Find what of poses does not come back from a format.

    Parameters
    ----------
    poses : Poses or Parts
    format : str
        As for `mapose.write`.
    support, cameras
        What is written with them.

    Returns
    -------
    dict of str to str
        A word and what it means, for everything that the poses have and the format has not.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> mice = Poses(np.ones((2, 1, 1, 3)), Skeleton(["snout"]), ["ann"], rate=25)
    >>> find_losses(mice, "dlc-csv")
    {'rate': 'the rate'}
    """
    format = "anipose" if format == "csv" and poses.dimensions == 3 else format
    parts, skeleton = Parts.of(poses, support=support), poses.skeleton
    seen, last = np.zeros(len(poses.names), bool), np.zeros(len(poses.names), bool)
    unsure = named = spread = edited = False
    rests: set[str] = set()
    for part, support in parts.iterate_supported():
        present, confidence = part.find_present(), part.confidence
        seen |= present.any(0)
        last = present[-1] if len(part) else last
        unsure |= bool(((confidence > 0) & (confidence < 1)).any())
        named |= part.identity is not None and bool(np.isfinite(part.identity).any())
        spread |= part.covariance is not None
        edited |= bool(np.any(support.get("edited", False)))
        rests |= {*support}
    there = {
        "confidence": unsure,
        "rate": poses.rate is not None,
        "unit": poses.unit != ("px" if poses.dimensions == 2 else "unknown"),
        "identity": named,
        "covariance": spread,
        "edges": bool(skeleton.edges),
        "mirror": bool(skeleton.mirror),
        "slots": poses.individuals is None and len(poses.names) > 1,
        "name": poses.individuals is not None and len(poses.names) == 1,
        "gaps": len(poses) > 0 and int(poses.frames[-1]) >= len(poses),
        "unseen": not seen.all(),
        "end": len(poses) > 0 and not last.any(),
        "support": bool(rests - {"edited"}),
        "edited": edited,
        "cameras": cameras is not None,
        "untimed": poses.rate is None,
        "landmarks": bool(skeleton.landmarks) and poses.individuals is None,
    }
    held = _HELD.get(format, _ALL)
    return {name: _WORDS[name] for name, has in there.items() if has and name not in held}
