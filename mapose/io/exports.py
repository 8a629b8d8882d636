"""Writing poses for other tools: DeepLabCut, SLEAP, movement, and tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from mapose.errors import FormatError, MissingExtraError
from mapose.files import write_atomically
from mapose.io.anipose import write_anipose
from mapose.io.instances import unname_slots
from mapose.poses import Poses
from mapose.skeleton import Skeleton

if TYPE_CHECKING:
    import xarray as xr


def write_deeplabcut_h5(
    poses: Poses, path: Path, *, scorer: str = "mapose", made: str = ""
) -> None:
    """Write an h5 as DeepLabCut's analysis does: key ``df_with_missing``, format table.

    What made it becomes an attribute of the file.

    Raises
    ------
    MissingExtraError
        If PyTables is not installed.
    """
    try:
        import tables
    except ImportError as error:
        raise MissingExtraError(
            'writing DeepLabCut h5 needs PyTables: pip install "mapose[dlc]" (dlc-csv works '
            "without)"
        ) from error
    frame = poses.to_pandas(scorer).astype(np.float64)
    with write_atomically(path, error=FormatError) as partial:
        try:
            frame.to_hdf(partial, key="df_with_missing", format="table", mode="w")
        except tables.exceptions.HDF5ExtError:
            # A table keeps its column names in an attribute of at most 64 KB, which some 900
            # keypoints of all animals together fill. DeepLabCut opens the other format as well.
            frame.to_hdf(partial, key="df_with_missing", format="fixed", mode="w")
        with tables.open_file(partial, "a") as file:
            # pandas 3 no longer writes the version of its layout, without which pandas 2, and
            # so DeepLabCut, takes the file for one of before 2012 and fails.
            file.root.df_with_missing._v_attrs["pandas_version"] = "0.15.2"
        _leave_mark(partial, made)


def write_deeplabcut_csv(poses: Poses, path: Path, *, scorer: str = "mapose") -> None:
    """Write a csv with DeepLabCut's header rows."""
    with write_atomically(path, error=FormatError) as partial:
        poses.to_pandas(scorer).to_csv(partial, lineterminator="\n", encoding="utf-8")


def write_csv(poses: Poses, path: Path, *, support: Mapping[str, Any] | None = None) -> None:
    """Write a table: of 2D poses a long one, of 3D poses that of Anipose.

    A long table has the columns frame, individual, keypoint, x, y, confidence[, identity] and one
    row per frame, individual and keypoint; one that was not found has empty coordinates and
    confidence 0. For 3D see `mapose.io.anipose.write_anipose`.
    """
    if poses.dimensions == 3:
        write_anipose(poses, path, support=support)
        return
    f, i, k, _ = poses.array.shape
    columns: dict[str, Any] = {
        "frame": np.repeat(poses.frames, i * k),
        "individual": np.tile(np.repeat(poses.names, k), f),
        "keypoint": np.tile(poses.skeleton.keypoints, f * i),
    }
    flat = poses.array.reshape(-1, poses.dimensions + 1)
    for axis, name in enumerate(["x", "y", "confidence"]):
        columns[name] = flat[:, axis]
    if poses.identity is not None:
        columns["identity"] = np.repeat(poses.identity.reshape(-1), k)
    with write_atomically(path, error=FormatError) as partial:
        pd.DataFrame(columns).to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


def write_movement(
    poses: Poses, path: Path, *, support: Mapping[str, Any] | None = None, made: str = ""
) -> None:
    """Write a netCDF file that the movement package opens.

    What 3D points rest on (``error``, ``n_views``, ``filled``) are further variables, over the
    axes of the confidence; what made the file is an attribute.
    """
    dataset = poses.to_xarray()
    for name, values in (support or {}).items():
        dataset[name] = (dataset.confidence.dims, np.swapaxes(np.asarray(values), 1, 2))
    dataset.attrs["unit"] = poses.unit
    if made:
        dataset.attrs["made_by"] = made
    with write_atomically(path, error=FormatError) as partial:
        dataset.to_netcdf(partial, engine="h5netcdf")


def read_movement(path: Path) -> Poses:
    """Read a netCDF file that movement or `write_movement` wrote.

    Parameters
    ----------
    path : Path
        A dataset of type poses; both the singular names of its axes (since 2026) and the plural
        ones are understood.

    Raises
    ------
    FormatError
        If it is no such dataset.
    """
    import xarray as xr

    with path.open("rb") as file:
        engine = "scipy" if file.read(3) == b"CDF" else "h5netcdf"  # netCDF 3 or 4
    try:
        with xr.open_dataset(path, engine=engine) as opened:
            dataset = opened.load()
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} cannot be opened as netCDF: {error}") from error
    plural = {"keypoints": "keypoint", "individuals": "individual"}
    dataset = dataset.rename({old: new for old, new in plural.items() if old in dataset.dims})
    wanted = {"time", "space", "keypoint", "individual"}
    if "position" not in dataset or set(dataset.position.dims) != wanted:
        raise FormatError(
            f"{path}: wanted a movement dataset of poses, with position over {sorted(wanted)}"
        )
    xyz = dataset.position.transpose("time", "individual", "keypoint", "space").to_numpy()
    confidence = np.ones(xyz.shape[:-1], np.float32)
    if "confidence" in dataset:
        confidence = dataset.confidence.transpose("time", "individual", "keypoint").to_numpy()
        # movement writes NaN throughout where a tool gives no confidence.
        confidence = np.where(np.isnan(confidence), 1, confidence)
    rate = dataset.attrs.get("fps")
    rate = float(rate) if isinstance(rate, (int, float, np.number)) and rate > 0 else None
    return Poses(
        np.concatenate([xyz, confidence[..., None]], -1),
        Skeleton([str(k) for k in dataset.keypoint.to_numpy()]),
        unname_slots(dataset.individual.to_numpy()),
        rate=rate,
        unit=str(dataset.attrs.get("unit", "px")),
        frames=_read_frames(dataset, rate),
        identity=_read_identity(dataset),
    )


def _read_frames(dataset: xr.Dataset, rate: float | None) -> Any:
    time = dataset.time.to_numpy()
    if dataset.attrs.get("time_unit") == "seconds" and rate:
        return np.rint(np.asarray(time, np.float64) * rate).astype(np.int64)
    return np.asarray(time, np.int64)


def _read_identity(dataset: xr.Dataset) -> Any:
    if "identity" not in dataset:
        return None
    return dataset.identity.transpose("time", "individual").to_numpy()


def write_slp(poses: Poses, path: Path, *, video: str | Path | None = None, made: str = "") -> None:
    """Write a SLEAP file of predicted instances.

    Parameters
    ----------
    poses : Poses
        2D. Named individuals become tracks; slots have none.
    path : Path
        Ends in ``.slp``.
    video : Path, optional
        The video that the poses belong to; by default ``<stem of path>.mp4``.
    made : str
        What makes it, kept as an attribute; SLEAP drops it when it saves the file.

    Raises
    ------
    FormatError
        If the poses are 3D.
    """
    import sleap_io as sio

    if poses.dimensions != 2:
        raise FormatError("SLEAP files hold image coordinates: wanted 2D poses, came 3D")
    skeleton = sio.Skeleton(
        list(poses.skeleton.keypoints),
        edges=poses.skeleton.edge_index.tolist(),
        symmetries=[list(m) for m in poses.skeleton.mirror],
    )
    tracks = [sio.Track(n) for n in poses.individuals] if poses.individuals else []
    source = sio.Video(str(video or path.with_suffix(".mp4").name), open_backend=False)
    present = np.count_nonzero(poses.confidence, axis=2) > 0
    frames = []
    for f in np.flatnonzero(present.sum(1)):
        instances = [
            sio.PredictedInstance.from_numpy(
                poses.points[f, i].astype(np.float64),
                skeleton,
                point_scores=poses.confidence[f, i],
                score=float(poses.confidence[f, i].mean()),
                track=tracks[i] if tracks else None,
            )
            for i in np.flatnonzero(present[f])
        ]
        frames.append(sio.LabeledFrame(source, int(poses.frames[f]), instances))
    labels = sio.Labels(frames, videos=[source], skeletons=[skeleton], tracks=tracks)
    with write_atomically(path, error=FormatError) as partial:
        sio.save_slp(labels, str(partial), embed=False, verbose=False)
        _leave_mark(partial, made)


def _leave_mark(path: Path, made: str) -> None:
    """Say in an HDF5 file what made it, where `mapose.files.read_mark` looks."""
    if made:
        with h5py.File(path, "a") as file:
            file.attrs["made_by"] = made
