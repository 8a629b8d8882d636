"""Views brought to common moments by when frames were taken: timestamps, or lists of drops."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration import find_moments, place_moments
from mapose.arrays import Floats, Ints, Singles
from mapose.errors import FormatError, SettingsError
from mapose.poses import Poses
from mapose.reading import explain_damage

# What columns are called in files of times, in lower case.
_CAMERA = ("camera", "cam_id", "cam", "view", "port", "name")
_TIME = ("time", "frame_time", "timestamp", "timestamps", "time_s", "seconds")
# Rates that differ by less are the same.
_PACE = 0.05
_DROPPED = ("dropped", "dropped_frame", "dropped_frames", "missing", "missing_frame")


def read_times(
    path: str | os.PathLike[str], lengths: Mapping[str, int], *, rate: float | None = None
) -> dict[str, Floats]:
    r"""Read when the frames of each camera's video were taken.

    Parameters
    ----------
    path : path
        A csv with a column of cameras (``camera``, ``cam_id``) and one of times in seconds
        (``time``, ``frame_time``), a row for each frame that is in the video, in their order; or
        with a column ``dropped``, a row for each frame that is not: its number if all were there.
    lengths : dict of str to int
        By camera: frames in its video. A camera is called in the file as here, or by the number at
        the end of its name.
    rate : float, optional
        Frames per second, for lists of drops; by default 1, so that times count frames.

    Returns
    -------
    dict of str to float64, (F,)
        Seconds, ascending. Cameras that a list of times does not name are left out; those that a
        list of drops does not name have lost none, unless it names others that are not here.

    Raises
    ------
    FormatError
        If the file is none of these, or times do not ascend.
    SettingsError
        If it is about none of the cameras.

    Examples
    --------
    >>> place = getfixture("tmp_path") / "drops.csv"
    >>> _ = place.write_text("camera,dropped\ntop,2\n")
    >>> read_times(place, {"top": 4})
    {'top': array([0., 1., 3., 4.])}
    >>> read_times(place, {"top": 4, "side": 3})["side"]
    array([0., 1., 2.])
    """
    place = Path(path)
    with explain_damage(place), place.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    columns = {str(key).strip().lower(): key for key in (rows[0] if rows else {})}
    camera = next((columns[name] for name in _CAMERA if name in columns), None)
    time = next((columns[name] for name in _TIME if name in columns), None)
    dropped = next((columns[name] for name in _DROPPED if name in columns), None)
    if camera is None or (time is None and dropped is None):
        raise FormatError(
            f"{place.name}: wanted columns camera and time, or camera and dropped, came "
            f"{', '.join(columns) or 'none'}"
        )
    values: dict[str, list[float]] = {}
    key = dropped if time is None else time
    for row in rows:
        text = (row[key] or "").strip()
        if text:  # a frame that was dropped may stand there without a time
            values.setdefault((row[camera] or "").strip(), []).append(_read_number(text, place))
    called = {name: _find_camera(name, values, list(lengths)) for name in lengths}
    # A list of drops has no row for a camera that lost none; but names that nobody has may be its.
    whole = time is None and not set(values) - set(called.values())
    found = {}
    for name, count in lengths.items():
        own = called[name]
        if own is not None or (whole and values):
            listed = np.array(values.get(own or "", []))
            found[name] = listed if time is not None else _list_moments(listed, count, rate or 1.0)
    if not found:
        raise SettingsError(
            f"{place.name}: it is about {', '.join(values) or 'no camera'}, wanted "
            f"{', '.join(lengths)}"
        )
    for name, times in found.items():
        if len(times) > 1 and not (np.diff(times) > 0).all():
            raise FormatError(f"{place.name}: times of {name} do not ascend")
    return found


def _read_number(text: str, place: Path) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise FormatError(f"{place.name}: wanted numbers, came {text!r}")
    return number


def _find_camera(name: str, known: Mapping[str, object], all_names: Sequence[str]) -> str | None:
    """Find what a file calls a camera: its name, or the number at its end if that is its own."""
    if name in known:
        return name
    ends = {other: re.search(r"(\d+)$", other) for other in all_names}
    number = ends[name]
    if number is None or sum(e is not None and e[1] == number[1] for e in ends.values()) > 1:
        return None
    return next((own for own in known if own.isdigit() and int(own) == int(number[1])), None)


def _list_moments(dropped: Floats, count: int, rate: float) -> Floats:
    """List when the frames of a video were taken that lacks some."""
    if wrong := [number for number in dropped.tolist() if number < 0 or number % 1]:
        raise FormatError(f"dropped frames: wanted whole numbers from 0, came {wrong[0]:g}")
    lost = np.unique(dropped.astype(np.int64))
    numbers = np.setdiff1d(np.arange(count + len(lost)), lost)[:count]
    return np.asarray(numbers / rate)


def compare_pace(rate: float, known: float | None) -> str:
    """Hold the rate that times tell against the one that files say; say how they differ, else "".

    Raises
    ------
    SettingsError
        If times are a thousand times, or more often, what they should be: no seconds.

    Examples
    --------
    >>> compare_pace(6.1, 30)
    'by their times there are 6.1 frames/s, the files say 30: the times count'
    """
    if known is None or is_same_rate(rate, known):
        return ""
    for much, unit in ((1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if is_same_rate(known, rate * much):
            raise SettingsError(
                f"times: wanted seconds, these seem to be {unit}: by them there are {rate:g} "
                f"frames/s, the files say {known:g}; divide them by {much:,.0f}"
            )
    return f"by their times there are {rate:g} frames/s, the files say {known:g}: the times count"


def is_same_rate(rate: float, other: float) -> bool:
    """Tell whether two rates in frames/s are the same but for what clocks and headers differ by."""
    return abs(rate / other - 1) < _PACE


def align_times(views: Mapping[str, Poses], times: Mapping[str, Floats]) -> dict[str, Poses]:
    """Bring views to common moments: those of the camera with most frames, at an even pace.

    Parameters
    ----------
    views : mapping of str to Poses
        By camera, frames numbered as in its video.
    times : mapping of str to float64, (F,)
        Of each frame of its video, s; of `read_times`.

    Returns
    -------
    dict of str to Poses
        With the same frames, one for each moment. Between two frames of a camera its animals are
        where a straight line puts them; where a frame was dropped there is nothing.

    Raises
    ------
    SettingsError
        If a view has no times, or frames that its times do not know.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> seen = np.ones((4, 1, 1, 3))
    >>> seen[:, 0, 0, 0] = [0, 10, 30, 40]
    >>> late = Poses(seen, Skeleton(["nose"]))
    >>> whole = Poses(np.ones((5, 1, 1, 3)), Skeleton(["nose"]))
    >>> when = {"a": np.arange(5.0), "b": np.array([0.0, 1, 3, 4])}
    >>> align_times({"a": whole, "b": late}, when)["b"].points[:, 0, 0, 0]
    array([ 0., 10., nan, 30., 40.], dtype=float32)
    """
    for name, poses in views.items():
        if name not in times:
            raise SettingsError(f"{name}: no times of it are given, only of {', '.join(times)}")
        if len(poses) and poses.frames[-1] >= len(times[name]):
            raise SettingsError(
                f"{name}: it has a frame {poses.frames[-1]}, but only {len(times[name])} times are "
                "given: are they of this recording?"
            )
    moments, period = find_moments([times[name] for name in views])
    return {name: _resample(p, times[name], moments, period) for name, p in views.items()}


def _resample(poses: Poses, times: Floats, moments: Floats, period: float) -> Poses:
    """Find where animals were at the moments, between the frames of a view."""
    if not len(poses):
        return poses
    placed = place_moments(times[poses.frames], moments, period)
    first, second, share = placed.first, placed.second, placed.share
    array = _mix(poses.array, first, second, share)
    array[..., -1] = np.minimum(poses.array[first, ..., -1], poses.array[second, ..., -1])
    array[~placed.kept] = np.nan
    array[~np.isfinite(array[..., :-1]).all(-1)] = np.nan
    array[..., -1] = np.nan_to_num(array[..., -1])
    companions = {}
    for name in ("identity", "covariance"):
        values = getattr(poses, name)
        if values is not None:
            values = _mix(values, first, second, share)
            values[~placed.kept] = np.nan
        companions[name] = values
    return replace(
        poses, array=array, frames=np.arange(len(moments)), rate=1 / period, **companions
    )


def _mix(values: Singles, first: Ints, second: Ints, share: Floats) -> Singles:
    part = share.reshape(-1, *(1,) * (values.ndim - 1))
    return np.asarray((1 - part) * values[first] + part * values[second], np.float32)
