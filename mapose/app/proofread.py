"""The page on which results are proofread: poses in windows, timelines, doubts, corrections."""

from __future__ import annotations

import json
import struct
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from mapose.app.endpoints import Call, Endpoint
from mapose.app.responses import Binary, Body
from mapose.app.results import OpenResult
from mapose.errors import MaposeError
from mapose.files import RESULT
from mapose.plots.colours import find_identity_colours
from mapose.results.timelines import find_statistic
from mapose.results.windows import Windows

#: Frames of poses that one answer holds at most.
_MOST = 4096
_BINS = 4000
Name = Annotated[str, Field(min_length=1, max_length=300)]
Frame = Annotated[int, Field(ge=0, le=2**53)]


class Edited(Body):
    """What a person says about names or points, as `mapose.add_edit` takes it."""

    tab: Annotated[str, Field(max_length=40)]
    version: Annotated[str, Field(max_length=64)]
    kind: Literal["swap", "keep", "name", "join", "split", "move", "delete"]
    individuals: Annotated[list[Name], Field(min_length=1, max_length=2)]
    frame: Frame | None = None
    last: Frame | None = None
    keypoint: Annotated[str, Field(max_length=300)] = ""
    place: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=2)] = (
        Field(default_factory=list)
    )


class Undone(Body):
    """The last of them is taken back."""

    tab: Annotated[str, Field(max_length=40)]
    version: Annotated[str, Field(max_length=64)]


def show_result(call: Call) -> dict[str, Any]:
    """Say all that the page needs but the poses."""
    result = call.result
    windows = result.windows
    result.get_timelines()
    return {
        "name": result.path.name.removesuffix(RESULT),
        "where": str(result.path),
        "named": windows.named,
        "keypoints": list(windows.file.skeleton.keypoints),
        "edges": [list(edge) for edge in windows.file.skeleton.edges],
        "first": int(windows.frames[0]) if len(windows) else 0,
        "last": int(windows.frames[-1]) if len(windows) else -1,
        "rate": windows.file.rate,
        "unit": windows.file.unit,
        "extent": _find_extent(windows),
        "dimensions": windows.file.read_sample(1).dimensions,
        "video": _describe_video(result),
        **_describe_edits(result, windows),
    }


def _find_extent(windows: Windows) -> list[int]:
    """Find how wide and high a picture has to be for all poses: where there is no video."""
    points = windows.file.read_sample(200).points[..., :2]
    most = np.nan_to_num(np.fmax.reduce(points, axis=(0, 1, 2))) if points.size else np.zeros(2)
    return [int(np.clip(side * 1.05 + 1, 16, 10_000)) for side in most]


def _describe_video(result: OpenResult) -> dict[str, Any]:
    try:
        reader = result.get_reader()
    except MaposeError as fault:
        return {"fault": str(fault)}
    # Not how many frames: to count those of an hour takes a second, and nobody waits for that here.
    return {"fault": "", "size": list(reader.size)}


def _describe_edits(result: OpenResult, windows: Windows) -> dict[str, Any]:
    doubts = windows.find_doubts()
    return {
        "version": result.version,
        "names": list(windows.names),
        "colours": [f"#{bytes(c).hex()}" for c in find_identity_colours(len(windows.names))],
        "doubts": [
            {
                "first": d.first,
                "last": d.last,
                "frame": d.frame,
                "individuals": list(d.individuals),
                "probability": d.probability,
            }
            for d in doubts
        ],
        "edits": [
            {"frame": e.frame, "kind": e.kind, "individuals": list(e.individuals), "text": str(e)}
            for e in windows.edits
        ],
    }


def read_poses(call: Call) -> Binary:
    """Give poses of a run of frames: a header in JSON, then x, y and confidence, then names.

    The header lists the points that a person has moved, as row, animal and keypoint.
    """
    first = call.read_number("first", 0)
    count = call.read_number("count", 512, most=_MOST)
    windows = call.result.windows
    poses = windows.read(first, count)
    keypoints, animals = len(poses.skeleton.keypoints), len(windows.names)
    array = np.full((count, animals, keypoints, 3), np.nan, np.float32)
    rows = poses.frames - first
    array[rows, :, :, :2], array[rows, :, :, 2] = poses.points[..., :2], poses.confidence
    sure = np.full((count, animals), np.nan, np.float32)
    if poses.identity is not None:
        sure[rows] = poses.identity
    header: dict[str, Any] = {"first": first, "count": count}
    header |= {"animals": animals, "keypoints": keypoints}
    moved = windows.find_edited(first + np.arange(count)) & np.isfinite(array[..., 0])
    header["edited"] = np.argwhere(moved).tolist()
    return pack(header, [array, sure])


def read_timeline(call: Call) -> Binary:
    """Give the timelines of a stretch: shares, confidence, names, and one statistic, by animal."""
    result = call.result
    windows, found = result.windows, result.get_timelines()
    if found is None:
        return pack({"ready": False}, [])
    first, count = call.read_number("first", 0), call.read_number("count", 1)
    bins = call.read_number("bins", 1000, most=_BINS)
    level, part, size = found.choose(first, count, max(1, bins))
    start = found.first + part.start * size
    middles = start + size * np.arange(part.stop - part.start) + size // 2
    order = windows.find_order(np.asarray(middles, np.int64)).T
    column = np.arange(order.shape[1])
    kinds = ["confidence", "identity", call.query.get("statistic", "speed")]
    arrays = [found.shares[level][:, part][order, column][..., None]]
    for kind in kinds:
        arrays.append(found.levels[level][find_statistic(kind)][:, part][order, column])
    values = np.concatenate(arrays, -1).astype(np.float32)
    gone = (order < 0) | windows.find_deleted(np.asarray(middles, np.int64)).T
    values[gone] = [0, *[np.nan] * (values.shape[-1] - 1)]
    header = {
        "ready": True,
        "first": int(start),
        "size": size,
        "bins": part.stop - part.start,
        "animals": len(windows.names),
    }
    return pack(header, [values])


def pack(header: dict[str, Any], arrays: list[npt.NDArray[np.float32]]) -> Binary:
    """Put arrays behind a header whose length stands before it, so that floats lie on fours."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    data = [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays]
    return Binary(b"".join([struct.pack("<I", len(text)), text, *data]), "application/octet-stream")


def show_picture(call: Call) -> Binary:
    """Give a frame of the video of a result."""
    return call.result.get_reader().get(
        call.read_number("frame"),
        call.read_number("height", 0, most=4320),
        scrub=call.query.get("scrub", "")[:40],
        exact=call.query.get("exact") == "1",
    )


def add(call: Call) -> dict[str, Any]:
    """Correct names or points; on the disk when this returns."""
    body, result = call.body, call.result
    what = body.model_dump(exclude={"tab", "version", "individuals"})
    what["place"] = body.place or None
    result.edit(body.individuals, version=body.version, tab=body.tab, **what)
    return _describe_edits(result, result.windows)


def undo(call: Call) -> dict[str, Any]:
    """Take back the last correction."""
    result = call.result
    gone = result.undo(version=call.body.version, tab=call.body.tab)
    return {"gone": gone, **_describe_edits(result, result.windows)}


ENDPOINTS = [
    Endpoint("GET", "/api/r/{place}", show_result),
    Endpoint("GET", "/poses/{place}", read_poses),
    Endpoint("GET", "/timeline/{place}", read_timeline),
    Endpoint("GET", "/result-frame/{place}/{frame}", show_picture),
    Endpoint("POST", "/api/r/{place}/edit", add, Edited),
    Endpoint("POST", "/api/r/{place}/undo", undo, Undone),
]
