"""Writing poses for other tools: DeepLabCut, SLEAP, movement, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mapose.errors import FormatError
from mapose.files import write_atomically
from mapose.io.conventions import settle_points
from mapose.io.hdf5 import open_hdf5, open_sink
from mapose.io.instances import unname_slots
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.skeleton import Skeleton

if TYPE_CHECKING:
    import xarray as xr


def write_movement(
    poses: Poses | Parts,
    path: Path,
    *,
    support: Mapping[str, Any] | None = None,
    made: str = "",
) -> None:
    """Write a netCDF file that the movement package opens.

    What points rest on (``error``, ``n_views``, ``filled``, ``edited``) are further variables, over
    the axes of the confidence; what made the file is an attribute. Of parts, few are in memory at
    a time.
    """
    parts = Parts.of(poses, support=support)
    with write_atomically(path, error=FormatError) as partial:
        fill_netcdf(_list_datasets(parts), partial, count=len(parts), made=made)


def _list_datasets(parts: Parts) -> Iterator[xr.Dataset]:
    for part, rests in parts.iterate_supported():
        dataset = part.to_xarray()
        for name, values in rests.items():
            dataset[name] = (dataset.confidence.dims, np.swapaxes(np.asarray(values), 1, 2))
        dataset.attrs["unit"] = part.unit
        yield dataset


def fill_netcdf(datasets: Iterable[xr.Dataset], path: Path, *, count: int, made: str = "") -> None:
    """Write a recording as netCDF, of which one dataset after the other is in memory.

    Parameters
    ----------
    datasets : iterable of xarray.Dataset
        With the same variables, each the times that follow.
    path : Path
        Written in place.
    count : int
        Times of all.
    made : str
        What made it, which becomes an attribute.
    """
    import h5netcdf

    with open_sink(path) as sink, h5netcdf.File(sink, "w") as file:
        start = 0
        for dataset in datasets:
            marked = dataset.assign_attrs(made_by=made) if made else dataset
            _append_dataset(file, marked, start, count=count)
            start += dataset.sizes["time"]


def _append_dataset(file: Any, dataset: xr.Dataset, start: int, *, count: int) -> None:
    """Write some times of a dataset from a place on; the first call makes all its variables.

    Variables and attributes are what xarray makes of a dataset that it writes as a whole.
    """
    import h5py
    from xarray.conventions import cf_encoder

    variables, attributes = cf_encoder(dict(dataset.variables), dataset.attrs)
    if not start:
        file.dimensions = {**dataset.sizes, "time": count}
        file.attrs.update(
            {k: np.atleast_1d(v) if not isinstance(v, str) else v for k, v in attributes.items()}
        )
    for name, variable in variables.items():
        more, kind = dict(variable.attrs), variable.dtype
        if not start:
            kind = h5py.string_dtype() if kind.kind in "UO" else kind
            fill = more.pop("_FillValue", None)
            made = file.create_variable(name, variable.dims, kind, fillvalue=fill)
            made.attrs.update(more)
        if variable.dims[:1] == ("time",):
            file[name][start : start + len(variable)] = variable.values
        elif not start:
            file[name][...] = variable.values.astype(object)


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
    if engine == "h5netcdf":
        with open_hdf5(path):
            pass  # its sizes are true
    try:
        # SciPy allocates as much as a length in the file says, but not if the bytes are there.
        source = path if engine == "h5netcdf" else BytesIO(path.read_bytes())
        with xr.open_dataset(source, engine=engine) as opened:
            dataset = opened.load()
    except Exception as error:  # xarray and what is below it raise whatever the damage leads to
        raise FormatError(f"{path} cannot be opened as netCDF: {error}") from error
    plural = {"keypoints": "keypoint", "individuals": "individual"}
    dataset = dataset.rename({old: new for old, new in plural.items() if old in dataset.dims})
    wanted = {"time", "space", "keypoint", "individual"}
    if "position" not in dataset or set(dataset.position.dims) != wanted:
        raise FormatError(
            f"{path}: wanted a movement dataset of poses, with position over {sorted(wanted)}"
        )
    axes = [a for a in ("x", "y", "z") if a in dataset.space] if "space" in dataset.coords else []
    if len(axes) == dataset.sizes["space"]:  # in whichever order they are
        dataset = dataset.sel(space=axes)
    xyz = dataset.position.transpose("time", "individual", "keypoint", "space").to_numpy()
    confidence = np.ones(xyz.shape[:-1], np.float32)
    if "confidence" in dataset:
        confidence = dataset.confidence.transpose("time", "individual", "keypoint").to_numpy()
        # movement writes NaN throughout where a tool gives no confidence.
        confidence = np.where(np.isnan(confidence), 1, confidence)
    rate = dataset.attrs.get("fps")
    rate = float(rate) if isinstance(rate, (int, float, np.number)) and rate > 0 else None
    times = np.asarray(dataset.time.to_numpy(), np.float64)
    if rate is None and len(times) > 1 and (times % 1 != 0).any():  # seconds, and no rate
        rate = float(1 / np.median(np.diff(times)))
    return Poses(
        settle_points(np.concatenate([xyz, confidence[..., None]], -1), path),
        Skeleton([str(k) for k in dataset.keypoint.to_numpy()]),
        unname_slots(dataset.individual.to_numpy()),
        rate=rate,
        unit=str(dataset.attrs.get("unit", "px")),
        frames=_read_frames(dataset, rate),
        identity=_read_identity(dataset),
    )


def _read_frames(dataset: xr.Dataset, rate: float | None) -> Any:
    time = dataset.time.to_numpy()
    seconds = dataset.attrs.get("time_unit") == "seconds" or (np.asarray(time) % 1 != 0).any()
    if seconds and rate:
        return np.rint(np.asarray(time, np.float64) * rate).astype(np.int64)
    return np.asarray(time, np.int64)


def _read_identity(dataset: xr.Dataset) -> Any:
    if "identity" not in dataset:
        return None
    return dataset.identity.transpose("time", "individual").to_numpy()
