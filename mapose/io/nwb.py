"""Poses as Neurodata Without Borders, in the types of its extension ndx-pose."""

from __future__ import annotations

import json
import re
import tomllib
import uuid
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapose.errors import FormatError, MissingExtraError
from mapose.files import write_atomically
from mapose.io.conventions import distinguish_names
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
    poses: Poses,
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
    poses : Poses
        2D or 3D. If the rate is not known, times are frame numbers.
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
    names = make_plain(["Skeletons", TITLE, *poses.names])[2:]
    alone = len(names) == 1
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
        estimations.append(_make_estimation(poses, i, title, skeleton, ndx_pose))
        module.add(estimations[-1])
        for series in _list_support(poses, i, title, support or {}):
            module.add(pynwb.TimeSeries(**series))
    if not alone and names:
        module.add(_join_estimations(estimations, names, skeletons))
    if poses.dimensions == 2:
        source = Path(video or path.with_suffix(".mp4").name)
        _add_tracks(file, estimations, skeletons, source)
    for device in _list_cameras(cameras):
        file.add_device(ndx_pose.CalibratedCamera(**device))
    with (
        write_atomically(path, error=FormatError) as partial,
        # Given an open file, pynwb does not complain of the ending of the temporary name.
        h5py.File(partial, "w") as opened,
        pynwb.NWBHDF5IO(file=opened, mode="w") as writer,
    ):
        writer.write(file)
        whose = dict(zip([TITLE] if alone else names, poses.names, strict=True))
        opened.attrs[OURS] = json.dumps({"individuals": whose, "rate": poses.rate})
        if made:
            opened.attrs["made_by"] = made


def _make_file(poses: Poses, names: list[str], start: datetime | None, pynwb: Any) -> Any:
    file = pynwb.NWBFile(
        session_description="poses estimated with mapose",
        # movement takes it for the name of the individual.
        identifier=", ".join(names) if poses.individuals else str(uuid.uuid4()),
        session_start_time=start or datetime.now(UTC),
    )
    if len(names) == 1 and poses.individuals:
        file.subject = pynwb.file.Subject(subject_id=names[0], description="an animal")
    return file


def _add_tracks(file: Any, estimations: list[Any], skeletons: Any, video: Path) -> None:
    """Put links to all individuals where sleap-io looks for the tracks of a video."""
    tracks = file.create_processing_module(
        f"SLEAP_VIDEO_000_{make_plain([video.stem])[0]}", "the same, as sleap-io looks for it"
    )
    for i, estimation in enumerate(estimations):
        tracks.add(_link_track(estimation, f"track{i}", skeletons, video))


def _find_times(poses: Poses) -> dict[str, Any]:
    """Say when the frames were: by rate where none is left out, else one by one, in seconds."""
    frames, rate = poses.frames.astype(np.float64), poses.rate or 1.0
    if len(frames) and frames[-1] - frames[0] == len(frames) - 1:
        return {"starting_time": float(frames[0] / rate), "rate": float(rate)}
    return {"timestamps": frames / rate}


def _make_estimation(
    poses: Poses, individual: int, title: str, skeleton: Any, ndx_pose: Any
) -> Any:
    flat, keypoints = poses.dimensions == 2, poses.skeleton.keypoints
    frame = "centre of the top-left pixel is (0, 0)" if flat else "world frame of the calibration"
    series = [
        ndx_pose.PoseEstimationSeries(
            name=name,
            description=f"position of {keypoint} of {poses.names[individual]}",
            data=poses.points[:, individual, k],
            unit=UNITS.get(poses.unit, poses.unit),
            reference_frame=frame,
            confidence=poses.confidence[:, individual, k],
            confidence_definition="score of the network, 0 to 1; 0 = missing",
            **_find_times(poses),
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


def _join_estimations(estimations: list[Any], names: list[str], skeletons: Any) -> Any:
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
            _link_series(series, marker) for marker, (_, series) in zip(markers, whose, strict=True)
        ],
        description="poses of " + ", ".join(names),
        source_software="mapose",
        skeleton=skeleton,
    )


def _link_track(estimation: Any, name: str, skeletons: Any, video: Path) -> Any:
    """Link the series of an individual as a track of sleap-io."""
    series, skeleton = estimation.pose_estimation_series, estimation.skeleton
    if list(skeleton.nodes) != list(series):
        skeleton = _add_skeleton(skeletons, "plain", list(series), skeleton.edges)
    with warnings.catch_warnings():
        # ndx-pose has another place for the video by now; sleap-io looks here.
        warnings.simplefilter("ignore", DeprecationWarning)
        return type(estimation)(
            name=name,
            pose_estimation_series=[_link_series(one, title) for title, one in series.items()],
            description=estimation.description,
            source_software="mapose",
            skeleton=skeleton,
            original_videos=[video.as_posix()],
        )


def _link_series(series: Any, name: str) -> Any:
    times = {"timestamps": series} if series.rate is None else {}
    times |= {} if times else {"starting_time": series.starting_time, "rate": series.rate}
    return type(series)(
        name=name,
        description=series.description,
        data=series,
        unit=series.unit,
        reference_frame=series.reference_frame,
        confidence=series.confidence,
        confidence_definition=series.confidence_definition,
        **times,
    )


def _add_skeleton(skeletons: Any, name: str, nodes: list[str], edges: Any = ()) -> Any:
    if name not in skeletons.skeletons:
        pairs = np.asarray(edges, np.uint8).reshape(-1, 2)
        kind = type(next(iter(skeletons.skeletons.values())))
        skeletons.add_skeletons(kind(name=name, nodes=nodes, edges=pairs))
    return skeletons.skeletons[name]


def make_plain(names: Sequence[str]) -> list[str]:
    """Make names that HDF5 takes for its objects, all different."""
    return distinguish_names([re.sub(r"[/:\0]|^\.+$", "_", name) for name in names])


def _list_support(
    poses: Poses, individual: int, title: str, support: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """List the time series that say how far the points of one individual can be trusted."""
    found = []
    if poses.identity is not None:
        found.append(("identity", poses.identity, "probability", "that the name is right"))
    found += [(_SUPPORT[k][0], v, *_SUPPORT[k][1:]) for k, v in support.items() if k in _SUPPORT]
    return [
        {
            "name": f"{title}_{name}",
            "data": np.asarray(values, np.float32)[:, individual],
            "unit": unit,
            "description": f"{words}; columns are the keypoints of the skeleton"
            if np.ndim(values) == 3
            else words,
            **_find_times(poses),
        }
        for name, values, unit, words in found
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
