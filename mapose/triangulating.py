"""What `mapose triangulate` does: files of 2D poses in, one file of 3D poses out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration import CameraGroup, read_cameras
from mapose.correcting import load_corrected
from mapose.errors import SettingsError, suggest_name
from mapose.io import save
from mapose.multiview import (
    Reconstruction,
    find_offsets,
    match_views,
    select_common_frames,
    shift_views,
    triangulate,
)
from mapose.poses import Poses

SUFFIX = ".mapose.h5"


@dataclass(frozen=True)
class ViewOptions:
    """What is done with the views before they are triangulated.

    Parameters
    ----------
    individuals : int, optional
        How many animals there are; found out by default.
    match : bool, optional
        Whether to find out who is who in all views; by default if any has several animals.
    synchronize : bool
        Whether to find by how many frames the cameras are apart and to shift them.
    cut : bool
        Whether views of different length are cut to the frames that all have.
    """

    individuals: int | None = None
    match: bool | None = None
    synchronize: bool = False
    cut: bool = False


def load_views(sources: Mapping[str, str | os.PathLike[str]]) -> dict[str, Poses]:
    """Read the 2D poses of each camera, with edits, of any format that `mapose.read` knows."""
    return {name: load_corrected(path) for name, path in sources.items()}


def triangulate_files(
    sources: Mapping[str, str | os.PathLike[str]],
    calibration: str | os.PathLike[str] | CameraGroup,
    *,
    output: str | os.PathLike[str],
    views: ViewOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Reconstruction:
    """Triangulate files and save what comes out.

    Beside the 3D poses, ``NAME.views/CAM.mapose.h5`` hold the 2D poses of each camera with the
    names that they have in 3D.

    Parameters
    ----------
    sources : dict of str to path
        By camera: 2D poses.
    calibration : path or CameraGroup
        Any calibration that `calibration.read_cameras` reads.
    output : path
        The ``.mapose.h5`` to write; it holds the cameras as well.
    views : ViewOptions, optional
        What is done before.
    on_progress : function of (int, int), optional
        Called with frames done and all frames.
    **settings
        For `mapose.triangulate`: smooth, max_gap, lengths.

    Returns
    -------
    Reconstruction
        As saved.

    Raises
    ------
    SettingsError
        If a view has no camera; the nearest name is suggested.
    ShapeError
        If views do not fit each other.
    calibration.CalibrationError
        If the calibration cannot be read.
    """
    views = views or ViewOptions()
    output = Path(output)
    if not output.resolve().parent.is_dir():
        raise SettingsError(f"cannot save {output}: there is no folder {output.resolve().parent}")
    cameras = calibration
    if not isinstance(cameras, CameraGroup):
        cameras = read_cameras(cameras)
    _check_names(sources, cameras)
    poses, notes = _prepare_views(load_views(sources), cameras, views)
    found = triangulate(poses, cameras, match=False, on_progress=on_progress, **settings)
    provenance = {
        "sources": {name: Path(path).name for name, path in sources.items()},
        "calibration": hashlib.sha256(cameras.to_toml().encode()).hexdigest(),
        "settings": {**vars(views), **{k: str(v) for k, v in settings.items()}},
        "notes": notes,
    }
    support = {"error": found.error, "n_views": found.n_views, "filled": found.filled}
    save(found.poses, output, provenance=provenance, cameras=cameras.to_toml(), support=support)
    folder = output.with_name(output.name.removesuffix(SUFFIX) + ".views")
    folder.mkdir(exist_ok=True)
    for name, view in found.views.items():
        save(view, folder / f"{name}{SUFFIX}", provenance={"corrected by": output.name})
    return found


def _check_names(names: Mapping[str, object], cameras: CameraGroup) -> None:
    faults = [
        f"no camera {name!r} in the calibration: {suggest_name(name, cameras.names)}"
        for name in names
        if name not in cameras.names
    ]
    if faults:
        raise SettingsError("; ".join(faults))


def _prepare_views(
    views: dict[str, Poses], cameras: CameraGroup, options: ViewOptions
) -> tuple[dict[str, Poses], list[str]]:
    notes = []
    if options.synchronize:
        clocks = find_offsets(views, cameras)
        notes.append(str(clocks))
        views = select_common_frames(shift_views(views, clocks))
    elif options.cut:
        views = select_common_frames(views)
    several = any(poses.array.shape[1] > 1 for poses in views.values())
    if options.match or (options.match is None and several):
        views = match_views(views, cameras, individuals=options.individuals)
    return views, notes
