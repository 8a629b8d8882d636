"""The page of a live run: what the cameras see now, who is where, and how long that takes."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from mapose.app.endpoints import Call, Endpoint
from mapose.app.frames import encode_picture
from mapose.app.responses import Binary, UnknownError
from mapose.arrays import Floats

if TYPE_CHECKING:
    from calibration import CameraGroup
    from mapose.live import Answer, LiveReport

#: Answers whose pictures can still be asked for.
_KEPT = 8
#: Height of pictures on the page, px.
_HEIGHT = 480
#: How far in front of a camera its corners are drawn, as a share of the scene.
_FRUSTUM = 0.15


class LiveView:
    """An output that keeps the newest answers for the page.

    Parameters
    ----------
    cameras : CameraGroup, optional
        Calibration, to draw where the cameras stand.
    """

    def __init__(self, cameras: CameraGroup | None = None) -> None:
        self._cameras = cameras
        self._lock = threading.Lock()
        self._answers: deque[Answer] = deque(maxlen=_KEPT)
        self._report: LiveReport | None = None
        self._ended = False

    def send(self, answer: Answer) -> None:
        """Keep it."""
        with self._lock:
            self._answers.append(answer)

    def close(self) -> None:
        """Say that nothing comes any more."""
        self._ended = True

    def note(self, report: LiveReport) -> None:
        """Keep what has been done so far."""
        self._report = report

    def describe(self) -> dict[str, Any]:
        """Describe the newest answer and the run, as plain values."""
        with self._lock:
            answer = self._answers[-1] if self._answers else None
        found: dict[str, Any] = {
            "ended": self._ended,
            "report": None if self._report is None else self._report.to_dict(),
            "answer": None,
        }
        if answer is not None:
            skeleton = answer.skeleton
            views = {
                name: {
                    "size": list(frame.image.shape[1::-1]),
                    "points": _list(answer.views[name][..., :2]) if name in answer.views else [],
                }
                for name, frame in answer.frames.frames.items()
            }
            found["answer"] = {
                **answer.to_dict(),
                "age": answer.age,
                "edges": skeleton.edge_index.tolist(),
                "views": views,
                "cameras": self._place_cameras(answer.predicted),
            }
        return found

    def encode(self, number: int, camera: str) -> Binary:
        """Encode the picture of a camera in one of the last sets.

        Raises
        ------
        UnknownError
            If it is gone, or never was.
        """
        with self._lock:
            kept = [a for a in self._answers if a.frames.number == number]
        if not kept or camera not in kept[0].frames.frames:
            raise UnknownError(f"no picture of {camera} in set {number}: it is gone")
        return encode_picture(kept[0].frames.frames[camera].image, _HEIGHT, "")

    def _place_cameras(self, points: Floats) -> list[dict[str, Any]]:
        """Find where the cameras stand and the corners of what they see, for a drawing."""
        if self._cameras is None:
            return []
        placed = []
        for camera in self._cameras:
            wide, high = camera.size
            corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float64)
            rays = camera.rays(corners)
            reach = _FRUSTUM * float(np.linalg.norm(camera.centre))
            placed.append(
                {
                    "name": camera.name,
                    "corners": [camera.centre.tolist(), *(camera.centre + reach * rays).tolist()],
                }
            )
        return placed


def _list(values: Any) -> Any:
    """Make lists, with None for NaN."""
    rounded = np.round(np.asarray(values, np.float64), 1).astype(object)
    return np.where(np.isfinite(np.asarray(values)), rounded, np.array(None)).tolist()


def _find_view(call: Call) -> LiveView:
    view: LiveView | None = call.workspace.live
    if view is None:
        raise UnknownError("no live run: mapose live --dashboard shows one")
    return view


def _describe(call: Call) -> dict[str, Any]:
    return _find_view(call).describe()


def _picture(call: Call) -> Binary:
    return _find_view(call).encode(call.read_number("number"), call.path["camera"])


ENDPOINTS = [
    Endpoint("GET", "/api/live", _describe),
    Endpoint("GET", "/live/{camera}/{number}", _picture),
]
