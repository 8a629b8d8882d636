"""Views of cameras that were moved in mid-recording: one view for each place, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from calibration import CameraGroup, list_stations, split_station
from mapose.arrays import Ints
from mapose.parts import Parts
from mapose.poses import Poses


def split_views(views: Mapping[str, Poses], cameras: CameraGroup) -> dict[str, Poses]:
    """Give each station of a camera a view of its own.

    Parameters
    ----------
    views : mapping of str to Poses
        By camera.
    cameras : calibration.CameraGroup
        ``side@1200`` is where the camera ``side`` stands from frame 1200 on.

    Returns
    -------
    dict of str to Poses
        Views with the same frames; each sees nothing while its camera stood elsewhere. Stations
        in whose time there is nothing have no view.

    Examples
    --------
    >>> from mapose.synthetic import make_scene
    >>> from calibration import add_station
    >>> scene = make_scene(1, 60, cameras=2)
    >>> views = {name: scene.truth(name) for name in scene.cameras.names}
    >>> cameras = add_station(scene.cameras, scene.cameras["cam1"], 50)
    >>> split = split_views(views, cameras)
    >>> [(name, int(view.find_present().sum())) for name, view in split.items()]
    [('top', 60), ('cam1', 50), ('cam1@50', 10)]
    """
    found = {}
    for name, view in views.items():
        for title, *time in _list_places(name, view.frames, views=views, cameras=cameras):
            found[title] = _blank(view, since=time[0], end=time[1]) if time else view
    return found


def split_parts(views: Mapping[str, Parts], cameras: CameraGroup) -> dict[str, Parts]:
    """Give each station a view of its own, as `split_views` does, of what is read in parts."""
    found = {}
    for name, view in views.items():
        for title, *time in _list_places(name, view.frames, views=views, cameras=cameras):
            found[title] = view.map(partial(_blank, since=time[0], end=time[1])) if time else view
    return found


def _list_places(
    name: str, frames: Ints, *, views: Collection[str], cameras: CameraGroup
) -> list[tuple[str, int, float]] | list[tuple[str]]:
    """List the stations of a camera in whose time there are frames: title, first frame, and end.

    Of a camera that was never moved, or each of whose stations has a view, its name alone.
    """
    stations = list_stations(cameras, name) if name in cameras else []
    if len(stations) < 2 or any(camera.name in views for _, _, camera in stations[1:]):
        return [(name,)]
    return [
        (camera.name, since, end)
        for since, end, camera in stations
        if ((frames >= since) & (frames < end)).any()
    ]


def join_views(views: Mapping[str, Poses], cameras: CameraGroup) -> dict[str, Poses]:
    """Make the views of the stations of a camera one again; they have the same rows."""
    found: dict[str, Poses] = {}
    for title, view in views.items():
        name, since = split_station(title, cameras) if title in cameras else (title, 0)
        if name not in found:
            found[name] = view
            continue
        later, first = view.frames >= since, found[name]
        joined: dict[str, Any] = {}
        for field in ("array", "identity", "covariance"):
            own, before = getattr(view, field), getattr(first, field)
            if own is not None and before is not None:
                wide = later.reshape(-1, *(1,) * (own.ndim - 1))
                joined[field] = np.where(wide, own, before)
        found[name] = replace(first, **joined)
    return found


def _blank(view: Poses, *, since: float, end: float) -> Poses:
    """Take out what was seen in all other frames."""
    rows = (view.frames < since) | (view.frames >= end)
    array = view.array.copy()
    array[rows, ..., :-1], array[rows, ..., -1] = np.nan, 0
    companions = {}
    for field in ("identity", "covariance"):
        values = getattr(view, field)
        if values is not None:
            values = values.copy()
            values[rows] = np.nan
            companions[field] = values
    return replace(view, array=array, **companions)
