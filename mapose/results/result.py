"""One file of poses with all that belongs to it: edits, doubts, cameras; loaded once."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mapose import io
from mapose.arrays import Bools, Ints
from mapose.doubts import Doubt, find_swaps
from mapose.edits import (
    Edit,
    Settlement,
    apply_settlement,
    find_edited,
    find_edits_path,
    load_edits,
    settle_names,
)
from mapose.errors import SettingsError, VideoError
from mapose.files import cut_suffix, is_result
from mapose.io.formats import detect_format
from mapose.io.recordings import fingerprint, is_fingerprint
from mapose.io.sources import find_video
from mapose.io.stills import STACK_SUFFIXES, is_recording
from mapose.io.store import PosesFile
from mapose.poses import Peaks, Poses
from mapose.project.description import FILE as PROJECT
from mapose.project.description import load_description

if TYPE_CHECKING:
    from calibration import CameraGroup

logger = logging.getLogger(__name__)

# What filtering and tracking add to the name of a result.
_MADE = re.compile(r"(\.(filtered|tracked))+$")


class Result:
    """Poses in a file, of any tool, with all that lies in and beside it.

    Each part is read when it is first asked for, and kept. In a ``with`` block the file is opened
    once for all of them.

    Parameters
    ----------
    path : path
        What `mapose.read` reads. Only our own ``NAME.mapose.h5`` have edits, in
        ``NAME.edits.csv``, doubts, cameras and provenance.

    Raises
    ------
    FormatError
        If the file, or its list of edits, is missing or cannot be read; as soon as a part of it
        is asked for.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> path = getfixture("tmp_path") / "monday.mapose.h5"
    >>> save(Poses(np.ones((5, 1, 1, 3)), Skeleton(["snout"]), ["ann"], rate=25), path)
    >>> print(Result(path))
    monday.mapose.h5: 5 frames of 1 individual (ann), 25 frames/s
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.ours = is_result(path)
        self._file: PosesFile | None = None
        self._depth = 0  # of with blocks, which may lie in each other
        self.windows: Any = None  # of `mapose.results.windows.open_parts`, over the open file

    def __enter__(self) -> Result:
        if self.ours and not self._depth:
            self._file = PosesFile(self.path)
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._file is not None and not self._depth:
            self._file.close()
            self._file = self.windows = None

    def __len__(self) -> int:
        return self._header[0]

    def __str__(self) -> str:
        names, rate = self.names, self.rate
        who = f"{len(names)} individual{'' if len(names) == 1 else 's'} ({', '.join(names)})"
        parts = [f"{self.path.name}: {len(self)} frames of {who}"]
        parts += [f"{rate:g} frames/s"] if rate else []
        count = len(self.edits)
        parts += [f"{count} correction{'' if count == 1 else 's'}"] if count else []
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"Result({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return f"<pre>{self}</pre>"

    @property
    def rate(self) -> float | None:
        """Frames per second, if known."""
        return self._header[1]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the individuals, as edited."""
        return self.settlement.kept_names if self.edits else self._header[2]

    @cached_property
    def found(self) -> Poses:
        """Poses as they are in the file: what the tracker found."""
        if not self.ours:
            return io.read(self.path, self.format)
        with self.open_file() as file:
            return file.read_poses()

    @cached_property
    def poses(self) -> Poses:
        """Poses as a person corrected them: what every command shows."""
        if not self.edits:
            return self.found
        return apply_settlement(self.found, self.settlement, doubts=self._doubts)

    @cached_property
    def edits(self) -> tuple[Edit, ...]:
        """What a person said, in the order in which it was said.

        What was said of another recording, whose result once lay here, is left out.
        """
        recording = self.recording if self.journal else ""
        return choose_own(self.journal, recording, self.path)

    @cached_property
    def journal(self) -> tuple[Edit, ...]:
        """All that lies beside the file, of whichever recording."""
        return tuple(load_edits(find_edits_path(self.path))) if self.ours else ()

    @cached_property
    def settlement(self) -> Settlement:
        """What the edits come to."""
        return settle_names(self.found, self.edits)

    @cached_property
    def support(self) -> dict[str, Any]:
        """What keypoints rest on, (F, I, K) each, in the rows of `poses`; empty if unknown.

        In 3D ``error``, ``n_views`` and ``filled``; ``edited`` where a person changed points.
        """
        if self.ours:
            with self.open_file() as file:
                found = file.read_support()
        else:
            found = io.read_support(self.path, self.format)
        if not self.edits:
            return found
        settled, poses = self.settlement, self.found
        moved = arrange_support(found, settled.order[:, settled.kept])
        if settled.points:
            keypoints = poses.skeleton.keypoints
            shape = (len(poses), len(settled.names), len(keypoints))
            edited = find_edited(shape, poses.frames, settled.points, keypoints)[:, settled.kept]
            moved["edited"] = edited | moved.get("edited", False)
        return moved

    @property
    def edited(self) -> Bools:
        """Which points a person has moved or deleted, bool (F, I, K), in the rows of `poses`."""
        return np.asarray(self.support.get("edited", np.zeros(self.poses.confidence.shape, bool)))

    @cached_property
    def calibration(self) -> str | None:
        """The cameras as TOML text, if the file holds any."""
        if not self.ours:
            return None
        with self.open_file() as file:
            return file.read_cameras()

    @cached_property
    def cameras(self) -> CameraGroup | None:
        """The cameras of 3D poses, if the file holds any."""
        from calibration import CameraGroup

        text = self.calibration
        return CameraGroup.from_toml(text, source=self.path.name) if text else None

    @cached_property
    def provenance(self) -> Mapping[str, Any]:
        """Where the poses come from; empty if the file does not say."""
        if not self.ours:
            return {}
        with self.open_file() as file:
            return file.read_provenance()

    def find_doubts(self, *, min_probability: float = 0.0) -> list[Doubt]:
        """Rank the moments in which names are still in doubt, most doubtful first.

        Parameters
        ----------
        min_probability : float
            Leave out what is less likely a swap.

        Returns
        -------
        list of Doubt
            Without those that an edit has settled, names as edited.
        """
        doubts = [d for d in self._doubts if d.probability >= min_probability]
        if not self.edits:
            return doubts
        names = self.settlement.names
        placed = self.settlement.place_doubts(self.found, doubts)
        return [Doubt(d.first, d.last, (names[a], names[b]), d.probability) for d, a, b in placed]

    @cached_property
    def recording(self) -> str:
        """Fingerprint of the video that the poses were found in; empty if it is not known."""
        return find_recorded(self.provenance)

    def find_video(self) -> Path:
        """Find the recording: where it was, else under its name in the project or the folder.

        Raises
        ------
        VideoError
            If there is none, or another recording of this name only.
        """
        folder, given = self.path.parent, self.provenance
        places = []
        for _ in range(3):  # a result that was tracked again names the one before it
            places += [folder / str(given[key]) for key in ("path", "source") if given.get(key)]
            if not places or not is_result(places[-1]) or not places[-1].is_file():
                break
            given = Result(places[-1]).provenance
        if not self.ours and (named := io.find_named_video(self.path, self.format)):
            places.append(named)
        stem = _MADE.sub("", cut_suffix(self.path.name))
        places += _list_own(folder.resolve().parent, stem)
        places += [place for place in (find_video(stem, [folder]),) if place]
        places += [folder / f"{stem}{end}" for end in ("", *STACK_SUFFIXES)]
        there = [p for p in places if is_recording(p)]
        right = (p for p in there if self.recording in ("", fingerprint(p)))
        if found := next(right, None):
            return found
        if there:
            raise VideoError(
                f"{there[0]} is another recording than that of {self.path.name}; name the right "
                "one with --video"
            )
        raise VideoError(
            f"the video of {self.path.name} is not in {folder.resolve()}; name it with --video"
        )

    def read_window(self, rows: slice) -> Poses:
        """Read some frames as they are in the file; of ours, no others are in memory.

        Parameters
        ----------
        rows : slice
            Rows, without a step; beyond the end there are none.
        """
        if not self.ours or "found" in vars(self):
            return self.found.take(rows)
        with self.open_file() as file:
            return file.read_poses(rows)

    @cached_property
    def _header(self) -> tuple[int, float | None, tuple[str, ...]]:
        if not self.ours:
            return len(self.found), self.found.rate, self.found.names
        with self.open_file() as file:
            return len(file), file.rate, file.names

    @cached_property
    def _doubts(self) -> list[Doubt]:
        if not self.ours:
            return []
        with self.open_file() as file:
            return find_swaps(file.read_doubts())

    @cached_property
    def format(self) -> str:
        """Name of the file's format, as `mapose.read` knows it."""
        return "mapose" if self.ours else detect_format(self.path)

    @contextmanager
    def open_file(self) -> Iterator[PosesFile]:
        """Open the file, one of ours; in a ``with`` block of the result it is open already."""
        if self._file is not None:
            yield self._file
            return
        with PosesFile(self.path) as file:
            yield file


def load(path: str | os.PathLike[str], *, raw: bool = False) -> Poses:
    """Load poses from our own file, as a person corrected them.

    Parameters
    ----------
    path : path
        A ``.mapose.h5`` file; the edits beside it are applied.
    raw : bool
        What the tracker found, without them.

    Returns
    -------
    Poses

    Raises
    ------
    FormatError
        If the file is missing, damaged, another kind of file, or from a newer mapose.
    """
    with PosesFile(path) as file:
        poses = file.read_poses()
        if raw:
            return poses
        edits = load_edits(find_edits_path(path))
        if not edits:
            return poses
        recording, doubts = find_recorded(file.read_provenance()), file.read_doubts()
    own = choose_own(edits, recording, Path(path))
    return apply_settlement(poses, settle_names(poses, own), doubts=doubts) if own else poses


def read(path: str | os.PathLike[str], format: str | None = None) -> Poses:
    """Read the poses of one video, whichever tool wrote them; of our own, as corrected.

    Parameters
    ----------
    path : path
        Our own ``.mapose.h5``; DeepLabCut csv or h5; SLEAP ``.slp`` or ``analysis.h5``; movement
        netCDF; a folder of OpenPose json, one per frame; Anipose's 3D csv; ``.trc``; NWB with
        ndx-pose; a table with frame numbers.
    format : str, optional
        ``mapose``, ``dlc``, ``slp``, ``sleap-h5``, ``movement``, ``openpose``, ``anipose``,
        ``trc``, ``nwb`` or ``csv``; by default found by looking into the file.

    Returns
    -------
    Poses

    Raises
    ------
    FormatError
        If the file is missing, unknown or damaged.
    """
    if is_result(path) and format in (None, "mapose") and Path(path).is_file():
        return load(path)
    return io.read(Path(path), format)


def save(
    poses: Poses,
    path: str | os.PathLike[str],
    *,
    peaks: Peaks | None = None,
    provenance: Mapping[str, Any] | None = None,
    cameras: str | None = None,
    support: Mapping[str, Any] | None = None,
    doubts: Iterable[Doubt] | None = None,
) -> None:
    """Save poses to our own file, whole or not at all.

    Parameters
    ----------
    poses : Poses
        With all their companions.
    path : path
        A ``.mapose.h5``; replaced if it exists.
    peaks, provenance, cameras, support, doubts
        What else the file is to hold, see `mapose.io.save`.

    Raises
    ------
    SettingsError
        If corrections lie beside the file: they would be applied to what is saved as well.
    MaposeError
        If the file cannot be written, for instance because the disk is full.
    """
    check_uncorrected(path)
    io.save(
        poses,
        path,
        peaks=peaks,
        provenance=provenance,
        cameras=cameras,
        support=support,
        doubts=doubts,
    )


def write(
    poses: Poses,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    video: str | os.PathLike[str] | None = None,
    support: Mapping[str, Any] | None = None,
    cameras: str | None = None,
) -> None:
    """Write poses for another tool.

    Parameters
    ----------
    poses : Poses
    path : path
        Replaced when all is written.
    format : str, optional
        ``dlc-h5``, ``dlc-csv``, ``slp``, ``coco``, ``movement``, ``csv``, ``trc``, ``nwb`` or
        ``mapose``; by default by the suffix (``.slp``, ``.nc``, ``.csv``, ``.trc``, ``.nwb``,
        ``.mapose.h5``). A csv of 3D poses has the columns of Anipose.
    video : path, optional
        The video that the poses belong to, for formats that name it (``slp``, ``coco``).
    support, cameras
        What 3D poses rest on and the calibration, see `mapose.io.write`.

    Raises
    ------
    SettingsError
        If corrections lie beside the file: they would be applied to what is saved as well.
    FormatError
        If the format is unknown or cannot hold these poses.
    MissingExtraError
        If a library is missing.
    """
    check_uncorrected(path)
    io.write(
        poses,
        Path(path),
        format,
        video=None if video is None else Path(video),
        support=support,
        cameras=cameras,
    )


def find_doubtful(path: str | os.PathLike[str], *, min_probability: float = 0.0) -> list[Doubt]:
    """Rank the moments of a result in which names are still in doubt, most doubtful first.

    Parameters
    ----------
    path : path
        A ``NAME.mapose.h5``, as `mapose analyze` and `mapose track` write it.
    min_probability : float
        Leave out what is less likely a swap.

    Returns
    -------
    list of Doubt
        Without those that an edit has settled, names as edited.
    """
    with Result(path) as result:
        return result.find_doubts(min_probability=min_probability)


def check_uncorrected(path: str | os.PathLike[str]) -> None:
    """Make sure that no edits lie beside a file that is about to be written."""
    if is_result(path) and Path(path).is_file() and load_edits(find_edits_path(path)):
        raise SettingsError(
            f"{Path(path).name} has corrections beside it, which would be applied to what is "
            f"saved as well: save under another name, or move {find_edits_path(path).name} away"
        )


def choose_own(edits: Sequence[Edit], recording: str, path: Path) -> tuple[Edit, ...]:
    """Leave out the edits beside a result that are of another recording."""
    own = tuple(e for e in edits if not (recording and e.recording) or e.recording == recording)
    if len(own) < len(edits):
        logger.warning(
            "%s: %d of %d corrections are of another recording than %s and do not count",
            find_edits_path(path).name, len(edits) - len(own), len(edits), path.name,
        )  # fmt: skip
    return own


def find_recorded(provenance: Mapping[str, Any]) -> str:
    """Find in a result's provenance the fingerprint of its recording; empty if it has none."""
    known = provenance.get("recording") or (provenance.get("job") or {}).get("video")
    return str(known) if is_fingerprint(known) else ""


def _list_own(project: Path, video: str) -> list[Path]:
    """List where a project says that its video of a name is; empty if there is no project."""
    if not (project / PROJECT).is_file():
        return []
    videos = load_description(project).videos
    return [project / videos[video]] if video in videos else []


def arrange_support(support: Mapping[str, Any], order: Ints) -> dict[str, Any]:
    """Put what keypoints rest on, (F, I, K) each, into other rows (F, N); -1 = nobody's."""
    part = np.arange(len(order))[:, None], np.maximum(order, 0)
    moved = {name: values[part] for name, values in support.items()}
    for values in moved.values():
        values[order < 0] = np.nan if values.dtype.kind == "f" else 0
    return moved
