"""Marker trajectories as .trc, for OpenSim and other programs of biomechanics."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mapose.arrays import Floats
from mapose.errors import FormatError
from mapose.files import write_atomically
from mapose.io.instances import unname_slots
from mapose.io.marker_names import find_marker_names, split_marker_names
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)

_MILLIMETRES = {"in": 25.4, "ft": 304.8, "dm": 100.0, "um": 0.001, "µm": 0.001, "nm": 1e-6}
_HEADER = (
    "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate",
    "OrigDataStartFrame", "OrigNumFrames",
)  # fmt: skip


def write_trc(poses: Poses | Parts, path: Path) -> None:
    """Write 3D poses as a .trc file.

    Missing points are empty, and each cell ends in a tab: OpenSim drops an empty last one
    otherwise, and refuses the file. Markers of several individuals are called
    ``<individual>:<keypoint>``. Lengths are in m, cm or mm, which OpenSim knows; others become mm.
    Axes are those of the poses, not turned: OpenSim takes y for up,
    and offers to turn what is otherwise.

    Parameters
    ----------
    poses : Poses or Parts
        3D. Frames are counted from one in this format; if the rate is not known it is written as
        1, so that times are frames, with a warning.
    path : Path
        Replaced when all is written.

    Raises
    ------
    FormatError
        If the poses are 2D, their unit is not known, or a name holds a tab.
    """
    if poses.dimensions != 3:
        raise FormatError(".trc holds points in space: wanted 3D poses, came 2D")
    names = find_marker_names(poses)
    if any(re.search(r"[\t\n\r]", name) for name in names):
        raise FormatError("names with a tab or line break cannot be written as .trc")
    scale, unit = _choose_unit(poses.unit)
    rate = poses.rate or 1.0
    first = int(poses.frames[0]) + 1 if len(poses) else 1
    said = f"{rate:.12g}"
    values = [said, said, len(poses), len(names), unit, said, first]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "\t".join(_HEADER),
        "\t".join(str(v) for v in [*values, len(poses)]),
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, len(names) + 1) for axis in "XYZ"),
        "",
    ]
    with (
        write_atomically(path, error=FormatError) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(f"{line}\n" for line in lines)
        for part in Parts.of(poses):
            points = (part.points.reshape(len(part), len(names) * 3) * scale).tolist()
            for frame, row in zip(part.frames.tolist(), points, strict=True):
                cells = ("" if x != x else f"{x:.6f}" for x in row)
                file.write(f"{frame + 1}\t{frame / rate:.6f}\t" + "\t".join(cells) + "\t\n")


def _choose_unit(unit: str) -> tuple[float, str]:
    """Choose a unit that OpenSim knows, and the factor to it."""
    if unit in ("m", "cm", "mm"):
        return 1.0, unit
    if unit not in _MILLIMETRES:
        raise FormatError(
            f".trc needs a unit that OpenSim knows, m, cm or mm; that of these poses is {unit}: "
            "say it, mapose export FILE --to trc --unit mm"
        )
    log.warning("lengths are written in mm, as OpenSim does not know %s", unit)
    return _MILLIMETRES[unit], "mm"


def read_trc_poses(path: Path) -> Poses:
    """Read a .trc file.

    Parameters
    ----------
    path : Path
        Of OpenSim, Pose2Sim, motion capture or `write_trc`.

    Returns
    -------
    Poses
        3D in the unit and axes of the file, confidence 1 where there is a point. Frames are times
        multiplied by the rate. Markers named ``individual:keypoint`` become individuals if all of
        these have the same keypoints.

    Raises
    ------
    FormatError
        If the file is no .trc, or is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a text file: {error}") from error
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise FormatError(f"{path} is not a .trc file: wanted PathFileType in its first line")
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    markers = [name.strip() for name in lines[3].split("\t")[2:] if name.strip()]
    try:
        rate = float(header["DataRate"])
    except (KeyError, ValueError) as error:
        raise FormatError(f"{path}: wanted a DataRate in its third line") from error
    table = _read_rows([line for line in lines[5:] if line.strip()], len(markers), path)
    points = table[:, 2:].reshape(len(table), -1, 3)
    individuals, keypoints = split_marker_names(markers)
    shape = (len(table), len(individuals or [""]), len(keypoints), 3)
    seen = np.ones((*shape[:3], 1))
    return Poses(
        np.concatenate([points.reshape(shape), seen], -1),
        Skeleton(keypoints),
        unname_slots(individuals) if individuals else None,
        rate=rate if rate > 0 else None,
        unit=header.get("Units", "unknown").strip(),
        frames=np.rint(table[:, 1] * rate).astype(np.int64) if rate > 0 else np.arange(len(table)),
    )


def _read_rows(lines: Sequence[str], markers: int, path: Path) -> Floats:
    """Read numbers into (rows, 2 + 3 * markers); empty cells become NaN."""
    width = 2 + 3 * markers
    table = np.full((len(lines), width), np.nan)
    for row, line in enumerate(lines):
        cells = line.split("\t")[:width]
        try:
            table[row, : len(cells)] = [float(c) if c.strip() else np.nan for c in cells]
        except ValueError as error:
            raise FormatError(f"{path}, row {row + 6}: {error}") from error
    return table
