"""Finding a board in all frames of all cameras."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats, Image, Ints
from calibration.boards.board import Board
from calibration.boards.charuco import CharucoBoard
from calibration.boards.recordings import Recording, Source, open_recording
from calibration.corners.sighting import Sighting
from calibration.errors import CalibrationError
from calibration.synchronization.moments import find_moments, place_moments

_logger = logging.getLogger(__name__)

#: Longer videos are searched in every n-th frame only, so that about so many are.
MOST_FRAMES = 3000
# Fewer corners than this say nothing of a camera or a board.
_LEAST = 4
# Starting a process takes as long as this many frames.
_WORTH = 40
# So many frames of a recording without the board, and then every tenth, are asked for another one.
_ASKED = 10
# The pattern of markers is settled when this many frames agree.
_SETTLED = 3


@dataclass(frozen=True, eq=False)
class BoardDetections:
    """Where one camera saw the corners of a board.

    Parameters
    ----------
    camera : str
        Name.
    size : (int, int)
        Width and height of the image in pixels.
    frames : int64, (F,)
        Numbers of the frames in which the board was found, ascending. The same number is the
        same moment in all cameras.
    pixels : float64, (F, C, 2)
        Corners; NaN = not found.
    n_frames : int
        Frames in the recording.
    rate : float, optional
        Frames per second; None for images.
    mirrored : bool
        Whether most frames show the board from behind, or in a mirror. Corners carry their true
        numbers all the same.
    inverted : bool
        Whether bright and dark are exchanged in print.
    legacy : bool, optional
        Whether markers follow OpenCV's old order; None = both orders are the same.
    blur : float64, (F,)
        Standard deviation of the blur of edges in pixels; NaN = unknown.
    hint : str
        Spec of the board that seems to be seen, if it is another one than was asked for.
    """

    camera: str
    size: tuple[int, int]
    frames: Ints
    pixels: Floats
    n_frames: int
    rate: float | None = None
    mirrored: bool = False
    inverted: bool = False
    legacy: bool | None = None
    blur: Floats = field(default_factory=lambda: np.empty(0))
    hint: str = ""

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames, np.int64)
        pixels = np.asarray(self.pixels, np.float64)
        if pixels.ndim != 3 or pixels.shape[2] != 2 or frames.shape != pixels.shape[:1]:
            raise CalibrationError(
                f"detections of {self.camera}: wanted frames (F,) and pixels (F, C, 2), came "
                f"{frames.shape} and {pixels.shape}"
            )
        blur = np.asarray(self.blur, np.float64)
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "blur", blur if len(blur) else np.full(len(frames), np.nan))

    def take(self, chosen: npt.ArrayLike) -> BoardDetections:
        """Keep some of the frames, given by their place or by a mask."""
        rows = np.asarray(chosen)
        return replace(
            self, frames=self.frames[rows], pixels=self.pixels[rows], blur=self.blur[rows]
        )


def find_boards(
    sources: Mapping[str, Source],
    board: Board,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    step: int | None = None,
    times: Mapping[str, Floats] | None = None,
) -> dict[str, BoardDetections]:
    """Find a board in the recordings of cameras.

    Parameters
    ----------
    sources : dict of str to path or list of paths
        By camera: a video; a folder or glob pattern of images or of one video; or a list of
        images. Frames are numbered by their place in a video or list, images by the number that
        changes in their names.
    board : Chessboard, CharucoBoard or ArucoGrid
        What to look for. Inverted print, a view from behind and the old order of markers are
        found out.
    on_progress : function of (int, int), optional
        Called with frames searched and frames in all.
    workers : int, optional
        Processes that search; by default one per processor where there is enough to do. 1 = none
        but this one.
    step : int, optional
        Search every `step`-th frame, in all cameras the same ones. By default 1, in videos of
        more than 3000 frames as much as leaves that many: beyond, frames are much alike.
    times : dict of str to float64, (F,), optional
        When each frame of a recording was taken, s, for all of them or none: where frames were
        dropped, or cameras take them at moments of their own. Detections then count moments
        common to all (`find_moments`), and between two frames corners are where a straight line
        puts them.

    Returns
    -------
    dict of str to BoardDetections
        In the order of `sources`; without frames for a camera that never saw the board.

    Raises
    ------
    CalibrationError
        If a recording is missing or cannot be read, or no camera saw the board; if another
        board seems to be seen, its spec is suggested. If times are of other recordings.
    """
    if not sources:
        raise CalibrationError("no recordings: wanted at least one camera with a video or images")
    recordings = [open_recording(camera, source) for camera, source in sources.items()]
    longest = max(recording.n_frames for recording in recordings)
    step = max(1, -(-longest // MOST_FRAMES)) if step is None else step
    if step < 1:
        raise CalibrationError(f"step: wanted a whole number of 1 or more, came {step}")
    clock = None if times is None else _Clock(recordings, times, step)
    total = sum(-(-recording.n_frames // step) for recording in recordings)
    if clock is not None:
        total = sum(map(len, clock.wanted.values()))
    seen: dict[str, list[tuple[int, Sighting]]] = {r.camera: [] for r in recordings}
    searched = Counter[str]()
    search = _Search(board)
    with _open_pool(workers, total) as pool:
        for done, (camera, number, sighting) in enumerate(
            _search_frames(recordings, search, pool=pool, step=step, clock=clock), 1
        ):
            searched[camera] = number + 1
            if np.count_nonzero(sighting.found) >= _LEAST or sighting.hint:
                seen[camera].append((number, sighting))
            if on_progress is not None:
                on_progress(min(done, total), total)
    if on_progress is not None:
        on_progress(total, total)
    _check_seen(board, seen, search)
    print_ = _find_print(seen)
    found = {
        r.camera: _gather(
            r, board, seen[r.camera], print_=print_, n_frames=_count(r, searched[r.camera], step)
        )
        for r in recordings
    }
    return found if clock is None else {name: clock.align(own) for name, own in found.items()}


def find_sighting(source: Source, board: Board, *, camera: str, frame: int) -> Sighting:
    """Find a board in one frame of a recording.

    Parameters
    ----------
    source : path or list of paths
        As of `find_boards`.
    board : Chessboard, CharucoBoard or ArucoGrid
        What to look for.
    camera : str
        Named in messages.
    frame : int
        Number of the frame in a video, or of the image by its name.

    Returns
    -------
    Sighting
        NaN for corners that are not seen there.

    Raises
    ------
    CalibrationError
        If the recording cannot be read or has no such frame.
    """
    recording = open_recording(camera, source)
    for number, image in recording.read_frames():
        if number == frame:
            return board.find(image)
    raise CalibrationError(
        f"{camera}: there is no frame {frame} in its {recording.n_frames} frames or images"
    )


class _Clock:
    """The moments common to recordings, and which of their frames show them."""

    def __init__(
        self, recordings: Sequence[Recording], times: Mapping[str, Floats], step: int
    ) -> None:
        if unknown := [r.camera for r in recordings if r.camera not in times]:
            raise CalibrationError(
                f"no times of {', '.join(unknown)} are given, only of {', '.join(times)}"
            )
        for r in recordings:
            if r.n_frames > len(times[r.camera]):
                raise CalibrationError(
                    f"{r.camera}: its recording has {r.n_frames} frames, but "
                    f"{len(times[r.camera])} times are given: are they of this recording?"
                )
        own = {r.camera: np.asarray(times[r.camera])[: r.n_frames] for r in recordings}
        self.moments, self.period = find_moments(list(own.values()))
        self.placed = {n: place_moments(t, self.moments, self.period) for n, t in own.items()}
        self.numbers = {r.camera: np.array(r.numbers or range(r.n_frames)) for r in recordings}
        self.wanted = {name: self._list_wanted(name, step) for name in own}

    def _list_wanted(self, camera: str, step: int) -> set[int]:
        """List the frames that are needed for every `step`-th moment."""
        placed, numbers = self.placed[camera], self.numbers[camera]
        rows = np.flatnonzero(placed.kept)
        rows = rows[rows % step == 0]
        return {int(n) for n in (*numbers[placed.first[rows]], *numbers[placed.second[rows]])}

    def align(self, own: BoardDetections) -> BoardDetections:
        """Say where the corners were at the common moments; those it missed are left out."""
        placed, rate = self.placed[own.camera], 1 / self.period
        where = np.full(len(self.numbers[own.camera]), -1)
        where[np.searchsorted(self.numbers[own.camera], own.frames)] = np.arange(len(own.frames))
        first, second = where[placed.first], where[placed.second]
        kept = np.flatnonzero(placed.kept & (first >= 0) & (second >= 0))
        a, b = first[kept], second[kept]
        share = placed.share[kept, None, None]
        pixels = (1 - share) * own.pixels[a] + share * own.pixels[b]
        good = np.isfinite(pixels).all(-1).sum(1) >= _LEAST
        return replace(
            own,
            frames=kept[good],
            pixels=pixels[good],
            blur=np.fmax(own.blur[a], own.blur[b])[good],
            n_frames=len(self.moments),
            rate=rate,
        )


class _Search:
    """The board that is looked for; what the first frames tell of it is kept for the others."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.failed, self.asked, self.hints = 0, 0, Counter[str]()
        self._votes = Counter[bool]()

    def find(self, number: int, image: Image) -> Sighting:
        """Search one frame, in this process."""
        return _find(self.board, image, self._is_asked(number))

    def submit(self, pool: ProcessPoolExecutor, number: int, image: Image) -> Future[Sighting]:
        """Search one frame, in another process."""
        return pool.submit(_find, self.board, image, self._is_asked(number))

    def _is_asked(self, number: int) -> bool:
        return self.asked < _ASKED or number % _ASKED == 0

    def learn(self, number: int, sighting: Sighting) -> None:
        """Take in what a frame showed."""
        if not sighting.found.any():
            self.failed += 1
            self.asked += self._is_asked(number)
            self.hints.update([sighting.hint] if sighting.hint else [])
        if not isinstance(self.board, CharucoBoard) or self.board.legacy is not None:
            return
        if sighting.legacy is not None:
            self._votes[sighting.legacy] += 1
            value, count = self._votes.most_common(1)[0]
            if count >= _SETTLED + 2 * self._votes[not value]:
                self.board = replace(self.board, legacy=value)


def _search_frames(
    recordings: Sequence[Recording],
    search: _Search,
    *,
    pool: ProcessPoolExecutor | None,
    step: int,
    clock: _Clock | None,
) -> Iterator[tuple[str, int, Sighting]]:
    """Search frames in order, a few ahead where there are processes for it."""
    waiting: deque[tuple[str, int, Image, Future[Sighting] | None]] = deque()
    ahead = 4 * pool._max_workers if pool is not None else 0  # type: ignore[attr-defined]

    def finish() -> tuple[str, int, Sighting]:
        nonlocal pool
        camera, number, image, future = waiting.popleft()
        try:
            sighting = future.result() if future is not None else search.find(number, image)
        except BrokenProcessPool:
            if pool is not None:
                _logger.warning("searching with one process only: others could not be started")
            pool = None
            sighting = search.find(number, image)
        search.learn(number, sighting)
        return camera, number, sighting

    for recording in recordings:
        wanted = None if clock is None else clock.wanted[recording.camera]
        for number, image in recording.read_frames(step, wanted=wanted):
            future = None
            if pool is not None:
                try:
                    future = search.submit(pool, number, image)
                except BrokenProcessPool:
                    pool = None
            waiting.append((recording.camera, number, image, future))
            if len(waiting) > ahead:
                yield finish()
    while waiting:
        yield finish()


def _use_one_thread() -> None:
    cv2.setNumThreads(1)


def _find(board: Board, image: Image, ask: bool) -> Sighting:
    found = board.find(image)
    if ask and not found.found.any() and not found.hint:
        return replace(found, hint=board.suggest(image))
    return found


@contextmanager
def _open_pool(workers: int | None, total: int) -> Iterator[ProcessPoolExecutor | None]:
    if workers is None:
        workers = min(os.cpu_count() or 1, total // _WORTH)
    if workers <= 1:
        yield None
        return
    pool = ProcessPoolExecutor(workers, _Context(), initializer=_use_one_thread)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker(SpawnProcess):
    """A process that does not run the caller's script again: what searches is not in it."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Worker


def _check_seen(
    board: Board, seen: Mapping[str, list[tuple[int, Sighting]]], search: _Search
) -> None:
    """Raise if no camera saw the board, or more frames show another one."""
    good = sum(sighting.found.any() for found in seen.values() for _, sighting in found)
    other, often = search.hints.most_common(1)[0] if search.hints else ("", 0)
    # Not all frames without the board were asked.
    often = round(often * max(search.failed / max(search.asked, 1), 1))
    if good and often <= good:
        return
    if good:
        raise CalibrationError(
            f"what is seen looks like {other} in about {often} frames and like the board {board} "
            f"in {good}: if {other} is right, say so"
        )
    advice = (
        f"what is seen looks like {other}"
        if other
        else "check kind, columns, rows and dictionary, and that it is large and sharp enough"
    )
    raise CalibrationError(f"the board {board} was found in no frame of any camera: {advice}")


def _find_print(seen: Mapping[str, list[tuple[int, Sighting]]]) -> tuple[bool, bool | None]:
    """Find how the board is printed: the same in all frames of all cameras."""
    weight = Counter[tuple[bool, bool | None]]()
    for found in seen.values():
        for _, sighting in found:
            count = np.count_nonzero(sighting.found)
            weight[sighting.inverted, sighting.legacy] += int(count)
    return weight.most_common(1)[0][0]


def _count(recording: Recording, last: int, step: int) -> int:
    """Count the frames of a recording of which every `step`-th was read, before `last`."""
    if recording.rate is None:
        return recording.n_frames
    return last if step == 1 else max(last, min(recording.n_frames, last + step - 1))


def _gather(
    recording: Recording,
    board: Board,
    seen: Sequence[tuple[int, Sighting]],
    *,
    print_: tuple[bool, bool | None],
    n_frames: int,
) -> BoardDetections:
    """Collect what one camera saw, without frames that contradict the print of the board."""
    hints = Counter(sighting.hint for _, sighting in seen if sighting.hint)
    good = [
        (number, sighting)
        for number, sighting in seen
        if sighting.found.any() and (sighting.inverted, sighting.legacy) == print_
    ]
    good.sort(key=lambda pair: pair[0])
    numbers = np.array([number for number, _ in good], np.int64)
    pixels = np.array([sighting.pixels for _, sighting in good]).reshape(-1, board.n_corners, 2)
    mirrored = np.array([sighting.mirrored for _, sighting in good])
    hint = hints.most_common(1)[0][0] if hints and max(hints.values()) > len(good) else ""
    return BoardDetections(
        camera=recording.camera,
        size=recording.size,
        frames=numbers,
        pixels=_keep_numbering(pixels, board.symmetries),
        n_frames=n_frames,
        rate=recording.rate,
        mirrored=bool(len(mirrored) and mirrored.mean() > 0.5),
        inverted=print_[0],
        legacy=print_[1],
        blur=np.array([sighting.blur for _, sighting in good]),
        hint=hint,
    )


def _keep_numbering(pixels: Floats, symmetries: Ints) -> Floats:
    """Give corners of an ambiguous board numbers as in the frame before."""
    if len(symmetries) == 1 or len(pixels) < 2:
        return pixels
    kept = [pixels[0]]
    for frame in pixels[1:]:
        ways = frame[symmetries]
        shift = np.nanmedian(np.linalg.norm(ways - kept[-1], axis=-1), axis=-1)
        kept.append(ways[int(np.nanargmin(np.nan_to_num(shift, nan=np.inf)))])
    return np.stack(kept)
