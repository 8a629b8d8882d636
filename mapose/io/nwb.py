"""Poses as Neurodata Without Borders, in the types of its extension ndx-pose."""

from __future__ import annotations

import json
import re
import tomllib
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapose.arrays import AnyFloats, Singles
from mapose.errors import FormatError, MissingExtraError
from mapose.files import write_atomically
from mapose.io.conventions import distinguish_names
from mapose.io.hdf5 import open_sink
from mapose.parts import Parts
from mapose.poses import Poses

#: Where movement looks.
MODULE, TITLE = "behavior", "PoseEstimation"
#: Attribute of the file with what NWB has no place for: names as they are, in order, and the rate.
OURS = "mapose"
UNITS = {"px": "pixels", "m": "meters", "mm": "millimeters", "cm": "centimeters"}
_SUPPORT = {
    "error": ("reprojection_error", "pixels", "mean distance from what the cameras saw"),
    "n_views": ("n_views", "cameras", "number of cameras that a point was made from"),
    "filled": ("filled", "yes", "1 where a point was not measured but filled in"),
    "edited": ("edited", "yes", "1 where a person moved or deleted a point"),
}


def write_nwb(
    poses: Poses | Parts,
    path: Path,
    *,
    support: Mapping[str, Any] | None = None,
    cameras: str | None = None,
    video: str | Path | None = None,
    start: datetime | None = None,
    made: str = "",
) -> None:
    """Write poses as an NWB file with ndx-pose.

    Everything lies in the processing module ``behavior``: ``Skeletons``, and for each individual
    a `PoseEstimation` (2D) or `MultiCameraPoseEstimation` (3D), which is called
    ``PoseEstimation`` if there is one individual, else by the individual's name. The probability
    of the name and what 3D points rest on are time series beside it. Missing points are NaN.

    The same points are linked to where other tools look for them: movement, which knows one
    individual, finds all keypoints of several as ``individual_keypoint`` in ``PoseEstimation``;
    sleap-io finds 2D tracks in a processing module of their video.

    Parameters
    ----------
    poses : Poses or Parts
        2D or 3D; of parts, few are in memory at a time. If the rate is not known, times are frame
        numbers.
    path : Path
        Ends in ``.nwb``; replaced when all is written.
    support : dict of str to array, (F, I, K), optional
        ``error``, ``n_views``, ``filled`` of 3D points.
    cameras : str, optional
        Calibration as TOML text; its cameras become devices.
    video : path, optional
        The recording; by default ``<stem of path>.mp4``.
    start : datetime, optional
        When the recording began, with a time zone. NWB demands a time; by default it is the
        time of writing.
    made : str
        What makes it, kept as an attribute of the file.

    Raises
    ------
    MissingExtraError
        If pynwb or ndx-pose is not installed.
    """
    try:
        import ndx_pose
        import pynwb
    except ImportError as error:
        raise MissingExtraError(
            'writing NWB needs pynwb and ndx-pose: pip install "mapose[nwb]"'
        ) from error
    parts = Parts.of(poses, support=support)
    names = make_plain(["Skeletons", TITLE, *parts.names])[2:]
    alone, times, columns = len(names) == 1, _find_times(parts), _Columns(len(parts))
    file = _make_file(poses, names, start, pynwb)
    module = file.create_processing_module(MODULE, "poses and their support")
    skeleton = ndx_pose.Skeleton(
        name="skeleton",
        nodes=list(poses.skeleton.keypoints),
        edges=poses.skeleton.edge_index.astype(np.uint8),
        subject=file.subject,
    )
    skeletons = ndx_pose.Skeletons(skeletons=[skeleton])
    module.add(skeletons)
    estimations = []
    for i, name in enumerate(names):
        title = TITLE if alone else name
        estimations.append(
            _make_estimation(parts.head, i, title, skeleton, columns=columns, times=times)
        )
        module.add(estimations[-1])
        for series in _list_support(parts, i, title, columns=columns):
            module.add(pynwb.TimeSeries(**series, **times))
    if not alone and names:
        module.add(_join_estimations(estimations, names, skeletons, columns=columns))
    if poses.dimensions == 2:
        source = Path(video or path.with_suffix(".mp4").name)
        _add_tracks(file, estimations, skeletons, source, columns=columns)
    for device in _list_cameras(cameras):
        file.add_device(ndx_pose.CalibratedCamera(**device))
    with (
        write_atomically(path, error=FormatError) as temporary,
        open_sink(temporary) as sink,
        h5py.File(sink, "w") as opened,
        pynwb.NWBHDF5IO(file=opened, mode="w") as writer,
    ):
        writer.write(file)
        columns.fill(parts)
        whose = dict(zip([TITLE] if alone else names, poses.names, strict=True))
        opened.attrs[OURS] = json.dumps({"individuals": whose, "rate": poses.rate})
        if made:
            opened.attrs["made_by"] = made


def _make_file(poses: Poses | Parts, names: list[str], start: datetime | None, pynwb: Any) -> Any:
    file = pynwb.NWBFile(
        session_description="poses estimated with mapose",
        # movement takes it for the name of the individual.
        identifier=", ".join(names) if poses.individuals else str(uuid.uuid4()),
        session_start_time=start or datetime.now(UTC),
    )
    if len(names) == 1 and poses.individuals:
        file.subject = pynwb.file.Subject(subject_id=names[0], description="an animal")
    return file


def _add_tracks(
    file: Any, estimations: list[Any], skeletons: Any, video: Path, *, columns: _Columns
) -> None:
    """Put links to all individuals where sleap-io looks for the tracks of a video."""
    tracks = file.create_processing_module(
        f"SLEAP_VIDEO_000_{make_plain([video.stem])[0]}", "the same, as sleap-io looks for it"
    )
    for i, estimation in enumerate(estimations):
        tracks.add(_link_track(estimation, f"track{i}", skeletons, video, columns=columns))


def _find_times(poses: Parts) -> dict[str, Any]:
    """Say when the frames were: by rate where none is left out, else one by one, in seconds."""
    frames, rate = poses.frames.astype(np.float64), poses.rate or 1.0
    if len(frames) and frames[-1] - frames[0] == len(frames) - 1:
        return {"starting_time": float(frames[0] / rate), "rate": float(rate)}
    return {"timestamps": frames / rate}


class _Columns:
    """Numbers of a file that are written once all else is there, part after part."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._columns: list[tuple[Any, Callable[[Poses, Mapping[str, Any]], Any]]] = []

    def add(self, read: Callable[[Poses, Mapping[str, Any]], Any], shape: tuple[int, ...]) -> Any:
        """Make the place of a column, (F, ...), given how to read its rows from a part."""
        from hdmf.backends.hdf5.h5_utils import H5DataIO

        place = H5DataIO(shape=(self._count, *shape), dtype=np.dtype(np.float32))
        self._columns.append((place, read))
        return place

    def repeat(self, place: Any) -> Any:
        """Make a place of the same numbers once more: hdmf writes each but once."""
        read = next(read for known, read in self._columns if known is place)
        return self.add(read, place.shape[1:])

    def fill(self, parts: Parts) -> None:
        """Write all columns."""
        start = 0
        for part, rests in parts.iterate_supported():
            for place, read in self._columns:
                place.dataset[start : start + len(part)] = read(part, rests)
            start += len(part)


def _make_estimation(
    poses: Poses,
    individual: int,
    title: str,
    skeleton: Any,
    *,
    columns: _Columns,
    times: Mapping[str, Any],
) -> Any:
    import ndx_pose

    i, flat, keypoints = individual, poses.dimensions == 2, poses.skeleton.keypoints
    frame = "centre of the top-left pixel is (0, 0)" if flat else "world frame of the calibration"
    series = [
        ndx_pose.PoseEstimationSeries(
            name=name,
            description=f"position of {keypoint} of {poses.names[individual]}",
            data=columns.add(partial(_take_points, i=i, k=k), (poses.dimensions,)),
            unit=UNITS.get(poses.unit, poses.unit),
            reference_frame=frame,
            confidence=columns.add(partial(_take_confidence, i=i, k=k), ()),
            confidence_definition="score of the network, 0 to 1; 0 = missing",
            **times,
        )
        for k, (keypoint, name) in enumerate(zip(keypoints, make_plain(keypoints), strict=True))
    ]
    kind = ndx_pose.PoseEstimation if flat else ndx_pose.MultiCameraPoseEstimation
    return kind(
        name=title,
        pose_estimation_series=series,
        description=f"poses of {poses.names[individual]}",
        source_software="mapose",
        skeleton=skeleton,
    )


def _join_estimations(
    estimations: list[Any], names: list[str], skeletons: Any, *, columns: _Columns
) -> Any:
    """Put the series of all individuals into one estimation, linked to the same numbers."""
    first = estimations[0]
    whose = [
        (name, series)
        for name, estimation in zip(names, estimations, strict=True)
        for series in estimation.pose_estimation_series.values()
    ]
    markers = make_plain([f"{name}_{series.name}" for name, series in whose])
    skeleton = _add_skeleton(skeletons, "markers", markers)
    return type(first)(
        name=TITLE,
        pose_estimation_series=[
            _link_series(series, marker, columns)
            for marker, (_, series) in zip(markers, whose, strict=True)
        ],
        description="poses of " + ", ".join(names),
        source_software="mapose",
        skeleton=skeleton,
    )


def _link_track(
    estimation: Any, name: str, skeletons: Any, video: Path, *, columns: _Columns
) -> Any:
    """Link the series of an individual as a track of sleap-io."""
    series, skeleton = estimation.pose_estimation_series, estimation.skeleton
    if list(skeleton.nodes) != list(series):
        skeleton = _add_skeleton(skeletons, "plain", list(series), skeleton.edges)
    with warnings.catch_warnings():
        # ndx-pose has another place for the video by now; sleap-io looks here.
        warnings.simplefilter("ignore", DeprecationWarning)
        return type(estimation)(
            name=name,
            pose_estimation_series=[
                _link_series(one, title, columns) for title, one in series.items()
            ],
            description=estimation.description,
            source_software="mapose",
            skeleton=skeleton,
            original_videos=[video.as_posix()],
        )


def _link_series(series: Any, name: str, columns: _Columns) -> Any:
    times = {"timestamps": series} if series.rate is None else {}
    times |= {} if times else {"starting_time": series.starting_time, "rate": series.rate}
    return type(series)(
        name=name,
        description=series.description,
        data=columns.repeat(series.data),
        unit=series.unit,
        reference_frame=series.reference_frame,
        confidence=columns.repeat(series.confidence),
        confidence_definition=series.confidence_definition,
        **times,
    )


def _add_skeleton(skeletons: Any, name: str, nodes: list[str], edges: Any = ()) -> Any:
    if name not in skeletons.skeletons:
        pairs = np.asarray(edges, np.uint8).reshape(-1, 2)
        kind = type(next(iter(skeletons.skeletons.values())))
        skeletons.add_skeletons(kind(name=name, nodes=nodes, edges=pairs))
    return skeletons.skeletons[name]


def _take_points(part: Poses, _: Mapping[str, Any], *, i: int, k: int) -> Singles:
    return part.points[:, i, k]


def _take_confidence(part: Poses, _: Mapping[str, Any], *, i: int, k: int) -> Singles:
    return part.confidence[:, i, k]


def _take_support(_: Poses, rests: Mapping[str, Any], *, i: int, key: str) -> AnyFloats:
    return np.asarray(rests[key])[:, i]


def make_plain(names: Sequence[str]) -> list[str]:
    """Make names that HDF5 takes for its objects, all different."""
    return distinguish_names([re.sub(r"[/:\0]|^\.+$", "_", name) for name in names])


def _list_support(
    parts: Parts, individual: int, title: str, *, columns: _Columns
) -> list[dict[str, Any]]:
    """List the time series that say how far the points of one individual can be trusted."""
    i, head, keypoints = individual, parts.head, (len(parts.skeleton.keypoints),)
    found = []
    if head.identity is not None:
        place = columns.add(lambda part, _: np.asarray(part.identity)[:, i], ())
        found.append(("identity", place, "probability", "that the name is right"))
    for key in parts.list_support():
        if key in _SUPPORT:
            place = columns.add(partial(_take_support, i=i, key=key), keypoints)
            name, unit, words = _SUPPORT[key]
            words += "; columns are the keypoints of the skeleton"
            found.append((name, place, unit, words))
    return [
        {"name": f"{title}_{name}", "data": place, "unit": unit, "description": words}
        for name, place, unit, words in found
    ]


def _list_cameras(text: str | None) -> list[dict[str, Any]]:
    from scipy.spatial.transform import Rotation

    tables = tomllib.loads(text or "")
    return [
        {
            "name": re.sub(r"[/:]", "_", str(table.get("name", section))),
            "description": "fisheye camera" if table.get("fisheye") else "pinhole camera",
            "intrinsic_matrix": np.asarray(table["matrix"], np.float32),
            "rotation_matrix": Rotation.from_rotvec(table["rotation"]).as_matrix(),
            "translation_vector": np.asarray(table["translation"], np.float32),
            "distortion_coefficients": np.asarray(table.get("distortions", ()), np.float32),
        }
        for section, table in tables.items()
        if isinstance(table, dict) and "matrix" in table
    ]
