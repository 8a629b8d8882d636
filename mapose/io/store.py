"""Our own file, ``*.mapose.h5``: poses, the peaks they came from, and where it all comes from.

Layout (HDF5, no pickles), schema 1::

    /                      attributes: format = "mapose", schema, unit, rate (if known)
    /skeleton/keypoints    text (K,);  edges, mirror: int64 (E, 2), channels of the keypoints;
                           landmarks: text (L,), only where there are some
    /individuals           text (I,); absent for slots without names
    /poses/array           float32 (F, I, K, 3 or 4), NaN = missing;  frames: int64 (F,)
    /poses/identity        float32 (F, I), optional;  covariance: float32 (F, I, K, d, d), optional
    /support/error         float32 (F, I, K), optional, 3D: reprojection error, px, NaN = none
    /support/n_views       int16 (F, I, K): cameras used;  filled: bool (F, I, K): not measured;
                           edited: bool (F, I, K): moved or deleted by a person
    /peaks/per_frame       int64 (F, 2), optional: peaks and candidate links of each frame
    /peaks/...             keypoint, xy, score, covariance (N, ...); pairs, edge, affinity (M, ...)
    /doubts                text (JSON), optional: moments in which names were in doubt
    /provenance, /cameras  text (JSON; TOML), optional
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapose.arrays import Ints
from mapose.doubts import Doubt
from mapose.errors import FormatError, MaposeError, ShapeError, suggest_name
from mapose.files import RESULT
from mapose.io.hdf5 import check_sizes, get_dataset
from mapose.io.poses_writer import OF_PAIR, OF_PEAK, SCHEMA, PosesWriter
from mapose.parts import Parts
from mapose.poses import Peaks, Poses
from mapose.reading import check_heaps, explain_damage, read_hdf5
from mapose.skeleton import Skeleton

__all__ = [
    "PosesFile",
    "PosesWriter",
    "count_frames",
    "load_cameras",
    "load_doubts",
    "load_peaks",
    "load",
    "load_provenance",
    "load_support",
    "save",
]


class PosesFile:
    """Our own file, open for reading.

    Parameters
    ----------
    path : path
        A ``.mapose.h5`` file.

    Attributes
    ----------
    path : Path
        The file.
    skeleton, individuals, rate, unit
        As of `Poses`.

    Raises
    ------
    FormatError
        If the file is missing, damaged, another kind of file, or from a newer mapose. So do all
        methods.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            folder = self.path.parent.resolve()
            beside = [p.name for p in folder.glob(f"*{RESULT}")][:20] if folder.is_dir() else []
            hint = suggest_name(self.path.name, beside) if beside else "there is no result there"
            raise FormatError(f"no file {self.path.name} in {folder}; {hint}")
        self._stack = ExitStack()
        with self._explain():
            self._file = self._stack.enter_context(read_hdf5(self.path))
        try:
            with self._explain():
                check_heaps(self.path)
                check_sizes(self._file, self.path)
            with self._explain():
                _check_kind(self._file, self.path)
                attributes = self._file.attrs
                self.skeleton = _load_skeleton(self._file["skeleton"])
                there = "individuals" in self._file
                self.individuals = (
                    _read_texts(get_dataset(self._file, "individuals")) if there else None
                )
                self.rate = float(attributes["rate"]) if "rate" in attributes else None
                self.unit = str(attributes["unit"])
                self._length, self._count = get_dataset(self._file, "poses/array").shape[:2]
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return int(self._length)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the individuals; ``slot0, slot1, ...`` where they have none."""
        return tuple(self.individuals or (f"slot{i}" for i in range(self._count)))

    def __enter__(self) -> PosesFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def read_poses(self, rows: slice | None = None) -> Poses:
        """Read poses; see `load`."""
        part = _check_rows(rows, len(self))
        with self._explain():
            group = self._file["poses"]
            return Poses(
                group["array"][part],
                self.skeleton,
                self.individuals,
                rate=self.rate,
                unit=self.unit,
                frames=group["frames"][part],
                **{
                    name: group[name][part] if name in group else None
                    for name in ("identity", "covariance")
                },
            )

    def read_frames(self) -> Ints:
        """Read the video frame of each row, int64 (F,)."""
        with self._explain():
            return np.asarray(self._file["poses/frames"][:], np.int64)

    def read_sample(self, most: int = 2000) -> Poses:
        """Read poses evenly from the whole file, at most so many; without their companions."""
        part = slice(0, len(self), 1 + len(self) // most)
        with self._explain():
            group = self._file["poses"]
            return Poses(
                group["array"][part],
                self.skeleton,
                self.individuals,
                rate=self.rate,
                unit=self.unit,
                frames=group["frames"][part],
            )

    def read_peaks(self, rows: slice | None = None) -> Peaks | None:
        """Read peaks; see `load_peaks`."""
        _check_rows(rows, 0)
        with self._explain():
            if "peaks" not in self._file:
                return None
            group = self._file["peaks"]
            counts = group["per_frame"][:]
            total = [len(group["xy"]), len(group["edge"])]
            if counts.ndim != 2 or (counts < 0).any() or counts.sum(0).tolist() != total:
                raise FormatError(
                    f"{self.path} is damaged: its frames do not add up to {total[0]} peaks and "
                    f"{total[1]} links"
                )
            part = _check_rows(rows, len(counts))
            ends = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(counts, axis=0)])
            (peak, pair), (peak_end, pair_end) = ends[part.start], ends[part.stop]
            n_frames = part.stop - part.start
            data = {name: group[name][peak:peak_end] for name in OF_PEAK}
            data |= {name: group[name][pair:pair_end] for name in OF_PAIR}
            data["pairs"] = data["pairs"] - peak
            frame = np.repeat(np.arange(n_frames), counts[part, 0])
            return Peaks(frame=frame, n_frames=n_frames, **data)

    def read_support(self, rows: slice | None = None) -> dict[str, Any]:
        """Read what 3D keypoints rest on; see `load_support`."""
        part = _check_rows(rows, len(self))
        with self._explain():
            return {name: data[part] for name, data in self._file.get("support", {}).items()}

    def read_doubts(self) -> list[Doubt]:
        """Read the moments in which names were in doubt, in time."""
        with self._explain():
            # Older files call them contacts.
            for name in ("doubts", "contacts"):
                if name in self._file:
                    return [
                        Doubt.from_dict(d)
                        for d in json.loads(_read_text(get_dataset(self._file, name)))
                    ]
            return []

    def read_provenance(self) -> dict[str, Any]:
        """Read what the file says about its origin; empty if it says nothing."""
        with self._explain():
            there = "provenance" in self._file
            return (
                dict(json.loads(_read_text(get_dataset(self._file, "provenance")))) if there else {}
            )

    def read_cameras(self) -> str | None:
        """Read the calibration stored with the poses, as TOML text; None if there is none."""
        with self._explain():
            return (
                _read_text(get_dataset(self._file, "cameras")) if "cameras" in self._file else None
            )

    @contextmanager
    def _explain(self) -> Iterator[None]:
        """Say clearly what is wrong with a file that cannot be read."""
        try:
            with explain_damage(self.path):
                yield
        except FormatError as error:
            fault = error.__cause__
            if fault is None or isinstance(fault, MaposeError):
                raise
            if not h5py.is_hdf5(self.path):
                raise FormatError(
                    f"{self.path} is not a result of mapose (not HDF5 at all): it is damaged, or "
                    "another file has got its name"
                ) from fault
            raise FormatError(
                f"{self.path} is damaged, perhaps cut off while it was copied: copy it again or "
                f"repeat the analysis ({fault})"
            ) from fault


def save(
    poses: Poses | Parts,
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
    poses : Poses or Parts
        With all their companions; parts also with what they rest on.
    path : str or Path
        Usually ``<video>.mapose.h5``; replaced if it exists.
    peaks : Peaks, optional
        What the poses were assembled from, over the same frames.
    provenance : dict, optional
        Where the poses come from; what JSON cannot hold is kept as its text.
    cameras : str, optional
        The calibration as TOML text, for poses from several views.
    support : dict of str to array, optional
        What 3D keypoints rest on, (F, I, K) each: ``error``, the reprojection error in px;
        ``n_views``, how many cameras were used; ``filled``, whether a point was not measured but
        filled in.
    doubts : iterable of Doubt, optional
        Moments in which names were in doubt.

    Raises
    ------
    MaposeError
        If the file cannot be written, for instance because the disk is full.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "clip.mapose.h5"
    >>> save(Poses(np.ones((5, 1, 1, 3)), Skeleton(["snout"]), rate=25), path)
    >>> print(load(path))
    Poses: 5 frames, 1 individual, 1 keypoint, 2D in px, 25 frames/s, 100 % found
    """
    with PosesWriter(
        path,
        poses.skeleton,
        poses.individuals,
        rate=poses.rate,
        unit=poses.unit,
        provenance=provenance,
    ) as writer:
        parts = Parts.of(poses, support=support)
        for part, rests in parts.iterate_supported():
            writer.append(part, peaks)
            if rests or support is not None:
                writer.add_support(rests)
        if cameras is not None:
            writer.add_cameras(cameras)
        if doubts is not None:
            writer.add_doubts(doubts)


def load(path: str | os.PathLike[str], *, rows: slice | None = None) -> Poses:
    """Load poses from our own file.

    Parameters
    ----------
    path : str or Path
        A ``.mapose.h5`` file.
    rows : slice, optional
        Rows to load, as a slice of a list would take them: ``slice(0, 1000)`` are the first
        thousand frames; beyond the end there are none. All by default.

    Returns
    -------
    Poses

    Raises
    ------
    FormatError
        If the file is missing, damaged, another kind of file, or from a newer mapose.
    """
    with PosesFile(path) as file:
        return file.read_poses(rows)


def count_frames(path: str | os.PathLike[str]) -> int:
    """Count the frames of our own file without loading them.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with PosesFile(path) as file:
        return len(file)


def load_peaks(path: str | os.PathLike[str], *, rows: slice | None = None) -> Peaks | None:
    """Load the peaks that were kept with the poses.

    Parameters
    ----------
    path : str or Path
        A ``.mapose.h5`` file.
    rows : slice, optional
        Rows (frames) to load, as for `load`; ``frame`` counts from the first of them.

    Returns
    -------
    Peaks or None
        None if the file keeps no peaks. Candidate links are sorted by frame.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with PosesFile(path) as file:
        return file.read_peaks(rows)


def load_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load what the file says about its origin; empty if it says nothing.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with PosesFile(path) as file:
        return file.read_provenance()


def load_cameras(path: str | os.PathLike[str]) -> str | None:
    """Load the calibration stored with the poses, as TOML text; None if there is none.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with PosesFile(path) as file:
        return file.read_cameras()


def load_doubts(path: str | os.PathLike[str]) -> list[Doubt]:
    """Load the moments in which names were in doubt, in time; none if the file says nothing.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with PosesFile(path) as file:
        return file.read_doubts()


def load_support(path: str | os.PathLike[str], *, rows: slice | None = None) -> dict[str, Any]:
    """Load what the 3D keypoints of a file rest on.

    Parameters
    ----------
    path : str or Path
        A ``.mapose.h5`` file.
    rows : slice, optional
        Rows (frames) to load, as for `load`.

    Returns
    -------
    dict of str to array, (F, I, K)
        ``error``, float32, the reprojection error in px, NaN = none; ``n_views``, int16, how many
        cameras were used; ``filled``, bool, whether a point was filled in. Only what is there.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with PosesFile(path) as file:
        return file.read_support(rows)


def _check_kind(file: Any, path: Path) -> None:
    if not np.array_equal(file.attrs.get("format"), "mapose"):
        raise FormatError(
            f"{path} is an HDF5 file of another tool: read it with mapose.read(), or on the "
            "command line convert it with 'mapose export'"
        )
    schema = int(file.attrs["schema"])
    if schema > SCHEMA:
        raise FormatError(
            f"{path} was written by a newer mapose (schema {schema}, this one knows up to "
            f"{SCHEMA}): upgrade with 'pip install --upgrade mapose'"
        )


def _check_rows(rows: slice | None, count: int) -> slice:
    start, stop, step = (rows or slice(None)).indices(count)
    if step != 1:
        raise ShapeError(f"rows: wanted a slice without step, came {rows}")
    return slice(start, max(start, stop))


def _load_skeleton(group: Any) -> Skeleton:
    names = _read_texts(get_dataset(group, "keypoints"))
    pairs = {}
    for key in ("edges", "mirror"):
        index = group[key][:]
        if ((index < 0) | (index >= len(names))).any():
            raise ShapeError(f"{key} join keypoints that are not there")
        pairs[key] = [(names[a], names[b]) for a, b in index]
    marks = _read_texts(group["landmarks"]) if "landmarks" in group else []
    return Skeleton(names, **pairs, landmarks=marks)


def _read_text(data: Any) -> str:
    return str(data.asstr()[()])


def _read_texts(data: Any) -> list[str]:
    return [str(text) for text in data.asstr()[:]]
