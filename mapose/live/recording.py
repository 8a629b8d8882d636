"""Recording of a camera, never held up by what else is done with its frames."""

from __future__ import annotations

import csv
import itertools
import logging
import os
import queue
import threading
from pathlib import Path

from mapose.errors import DiskError, MaposeError
from mapose.files import list_debris
from mapose.io import Video, VideoWriter
from mapose.live.sources import Frame
from mapose.locks import is_locked
from mapose.reading import explain_gone

logger = logging.getLogger(__name__)

#: Frames that wait for the disk at most: two seconds at 60 frames a second.
_WAITING = 120


class Recorder:
    """Write every frame of a camera to a video, and its time and number to a table beside it.

    Parameters
    ----------
    path : path
        ``NAME.mkv`` or another video file; the table is ``NAME.times.csv``.
    rate : float
        Frames per second.

    Attributes
    ----------
    lost : int
        Frames that could not be written.
    """

    def __init__(self, path: str | os.PathLike[str], rate: float) -> None:
        self.path = Path(path)
        self.lost = 0
        self.written = 0
        self._rate = rate
        self._queue: queue.Queue[Frame | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Hand on a frame; never waits."""
        try:
            self._queue.put_nowait(frame)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write what waits and finish the files."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        taken, over = 0, False
        try:
            with (
                VideoWriter(self.path, self._rate, quality=85) as writer,
                find_times(self.path).open("w", 1, newline="", encoding="utf-8") as file,
            ):
                table = csv.writer(file)
                table.writerow(["frame", "time", "number"])
                while (frame := self._queue.get()) is not None:
                    taken += 1
                    writer.write(frame.image)
                    table.writerow([self.written, f"{frame.time:.6f}", frame.number])
                    self.written += 1
                over = True  # the disk may be full when the file is finished: nothing more comes
            return
        except (MaposeError, OSError) as fault:
            logger.warning("recording of %s ends, all else goes on: %s", self.path.name, fault)
        self.lost += taken  # a video that was not finished is not there
        self.written = 0
        while not over and self._queue.get() is not None:
            self.lost += 1


def keep_cut_recording(path: Path) -> None:
    """Give what a run that was killed has recorded a name of its own: ``NAME.cut.mkv``.

    The table of its times goes with it. What holds no picture is removed.
    """
    is_locked(find_times(path))  # the lock of a killed run is removed, also if all is refused then
    for leftover in list_debris(path):
        names = (f"{path.stem}.cut{'' if n == 1 else n}{path.suffix}" for n in itertools.count(1))
        kept = next(k for k in map(path.with_name, names) if not k.exists())
        leftover.rename(kept)
        times = [find_times(path)] if find_times(path).exists() and not path.exists() else []
        if _has_pictures(kept):
            for table in times:
                table.rename(find_times(kept))
            logger.warning("what a run that was cut off has recorded is kept as %s", kept)
        else:
            for file in (kept, *times):
                file.unlink()


def _has_pictures(path: Path) -> bool:
    try:
        with Video(path) as video:
            return len(video) > 0
    except (MaposeError, OSError) as fault:
        if isinstance(fault, DiskError) or explain_gone(fault):
            raise  # nobody knows what is in it
        return False


def find_times(path: str | os.PathLike[str]) -> Path:
    """Name the table of times that lies beside a recording."""
    return Path(path).with_suffix(".times.csv")
