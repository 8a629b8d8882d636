"""Our own file, ``*.mapose.h5``: poses, the peaks they came from, and where it all comes from.

Layout (HDF5, no pickles), schema 1::

    /                      attributes: format = "mapose", schema, unit, rate (if known)
    /skeleton/keypoints    text (K,);  edges, mirror: int64 (E, 2), channels of the keypoints
    /individuals           text (I,); absent for slots without names
    /poses/array           float32 (F, I, K, 3 or 4), NaN = missing;  frames: int64 (F,)
    /poses/identity        float32 (F, I), optional;  covariance: float32 (F, I, K, d, d), optional
    /support/error         float32 (F, I, K), optional, 3D: reprojection error, px, NaN = none
    /support/n_views       int16 (F, I, K): cameras used;  filled: bool (F, I, K): not measured
    /peaks/per_frame       int64 (F, 2), optional: peaks and candidate links of each frame
    /peaks/...             keypoint, xy, score, covariance (N, ...); pairs, edge, affinity (M, ...)
    /contacts              text (JSON), optional: moments in which names were in doubt
    /provenance, /cameras  text (JSON; TOML), optional
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapose.errors import FormatError, ShapeError, suggest_name
from mapose.io.poses_writer import OF_PAIR, OF_PEAK, SCHEMA, PosesWriter
from mapose.poses import Peaks, Poses
from mapose.skeleton import Skeleton

__all__ = [
    "PosesWriter",
    "count_frames",
    "load",
    "load_cameras",
    "load_contacts",
    "load_peaks",
    "load_provenance",
    "load_support",
    "save",
]


def save(
    poses: Poses,
    path: str | Path,
    *,
    peaks: Peaks | None = None,
    provenance: Mapping[str, Any] | None = None,
    cameras: str | None = None,
    support: Mapping[str, Any] | None = None,
    contacts: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Save poses to our own file, whole or not at all.

    Parameters
    ----------
    poses : Poses
        With all their companions.
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
    contacts : sequence of dict, optional
        Moments in which names were in doubt: ``first`` and ``last`` frame, ``individuals``,
        ``odds``.

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
        writer.append(poses, peaks)
        if cameras is not None:
            writer.add_cameras(cameras)
        if support is not None:
            writer.add_support(support)
        if contacts is not None:
            writer.add_contacts(contacts)


def load(path: str | Path, *, rows: slice | None = None) -> Poses:
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
    with _open(path) as file:
        group = file["poses"]
        part = _check_rows(rows, len(group["array"]))
        return Poses(
            group["array"][part],
            _load_skeleton(file["skeleton"]),
            _read_texts(file["individuals"]) if "individuals" in file else None,
            rate=float(file.attrs["rate"]) if "rate" in file.attrs else None,
            unit=str(file.attrs["unit"]),
            frames=group["frames"][part],
            **{
                name: group[name][part] if name in group else None
                for name in ("identity", "covariance")
            },
        )


def count_frames(path: str | Path) -> int:
    """Count the frames of our own file without loading them.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with _open(path) as file:
        return len(file["poses/array"])


def load_peaks(path: str | Path, *, rows: slice | None = None) -> Peaks | None:
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
    with _open(path) as file:
        if "peaks" not in file:
            return None
        group = file["peaks"]
        counts = group["per_frame"][:]
        part = _check_rows(rows, len(counts))
        ends = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(counts, axis=0)])
        (peak, pair), (peak_end, pair_end) = ends[part.start], ends[part.stop]
        n_frames = part.stop - part.start
        data = {name: group[name][peak:peak_end] for name in OF_PEAK}
        data |= {name: group[name][pair:pair_end] for name in OF_PAIR}
        data["pairs"] = data["pairs"] - peak
        frame = np.repeat(np.arange(n_frames), counts[part, 0])
        return Peaks(frame=frame, n_frames=n_frames, **data)


def load_provenance(path: str | Path) -> dict[str, Any]:
    """Load what the file says about its origin; empty if it says nothing.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with _open(path) as file:
        return dict(json.loads(_read_text(file["provenance"]))) if "provenance" in file else {}


def load_cameras(path: str | Path) -> str | None:
    """Load the calibration stored with the poses, as TOML text; None if there is none.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with _open(path) as file:
        return _read_text(file["cameras"]) if "cameras" in file else None


def load_contacts(path: str | Path) -> list[dict[str, Any]]:
    """Load the moments in which names were in doubt; none if the file says nothing of them.

    Returns
    -------
    list of dict
        ``first`` and ``last`` frame, ``individuals``, ``odds``: what
        `mapose.tracking.find_swaps` takes.

    Raises
    ------
    FormatError
        As for `load`.
    """
    with _open(path) as file:
        return list(json.loads(_read_text(file["contacts"]))) if "contacts" in file else []


def load_support(path: str | Path, *, rows: slice | None = None) -> dict[str, Any]:
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
    with _open(path) as file:
        part = _check_rows(rows, len(file["poses"]["array"]))
        return {name: data[part] for name, data in file.get("support", {}).items()}


@contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    """Open one of our files for reading; say clearly what is wrong with others."""
    path = Path(path)
    if not path.is_file():
        folder = path.parent.resolve()
        beside = [p.name for p in folder.glob("*.mapose.h5")][:20] if folder.is_dir() else []
        raise FormatError(f"no file {path.name} in {folder}; {suggest_name(path.name, beside)}")
    if not h5py.is_hdf5(path):
        raise FormatError(
            f"{path} is not a mapose file (not HDF5 at all); files of other tools are read with "
            "mapose.read()"
        )
    try:
        with h5py.File(path, "r") as file:
            _check_kind(file, path)
            yield file
    except (OSError, KeyError, RuntimeError) as fault:
        raise FormatError(
            f"{path} is damaged, perhaps cut off while it was copied: copy it again or repeat the "
            f"analysis ({fault})"
        ) from fault


def _check_kind(file: Any, path: Path) -> None:
    if file.attrs.get("format") != "mapose":
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
    names = _read_texts(group["keypoints"])
    pairs = {key: [(names[a], names[b]) for a, b in group[key][:]] for key in ("edges", "mirror")}
    return Skeleton(names, **pairs)


def _read_text(data: Any) -> str:
    return str(data.asstr()[()])


def _read_texts(data: Any) -> list[str]:
    return [str(text) for text in data.asstr()[:]]
