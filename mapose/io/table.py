"""Plain tables of keypoints, as many labelling tools and scripts write them.

Long tables have one keypoint per row: image or frame, [individual,] keypoint, x, y. Wide tables
have one animal per row: image or frame, [individual,] snout_x, snout_y, ... A folder may hold one
table per image. Columns are known by name (`mapose.io.columns.SYNONYMS`), in any case and order;
what could be meant in two ways is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mapose.arrays import Ints, Singles
from mapose.errors import FormatError
from mapose.io.anipose import write_anipose
from mapose.io.cells import write_table
from mapose.io.columns import read_rows
from mapose.io.conventions import settle_points
from mapose.io.instances import (
    assign_columns,
    check_room,
    fill_array,
    name_columns,
    unname_slots,
)
from mapose.io.picture_sizes import hold_sizes, hold_videos
from mapose.io.sources import (
    find_frame_numbers,
    find_images,
    find_sources,
    list_videos,
    name_videos,
)
from mapose.labels import Labels
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.reading import explain_damage
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Instances:
    """Instances of a table: one entry each, keypoints x (x, y[, z], score)."""

    values: Singles
    frames: pd.DataFrame  # video, image, frame, width, height of each, in order of appearance
    row: Ints
    names: list[str | None]
    tracked: bool  # the names are tracks or animals, not only numbers within a frame
    keypoints: list[str]
    identity: Singles | None


def read_table_labels(path: Path) -> Labels:
    """Read labels from a table, or from a folder with one table per image or per video.

    Parameters
    ----------
    path : Path
        Csv file or folder. Images are looked for beside it, see `find_images`.

    Returns
    -------
    Labels
        Individuals are the same animals in all frames if the table has tracks, as long as a
        video has no more tracks than animals at once.

    Raises
    ------
    FormatError
        If a column is missing or could be meant in two ways, a number is unreadable, or a
        keypoint is marked twice for one individual.
    """
    left_out: list[str] = []
    rows = _read_folder(path, left_out) if path.is_dir() else read_rows(path, left_out)
    folder = path if path.is_dir() else path.parent
    found = _find_instances(rows, path)
    frames = found.frames
    has_image = frames.image != ""
    videos = list(frames.video)
    beside = list_videos(folder)
    if not has_image.any() and not any(videos):
        # Numbers without a file name: they are frames of the video with the table's own name.
        videos = name_videos([f"{path.stem}/0"], folder.resolve().name) * len(frames)
    named = name_videos(list(frames.image), folder.resolve().name)
    videos = [v or n for v, n in zip(videos, named, strict=True)]
    numbers = _number_frames(frames, videos, left_out)
    if found.tracked:
        columns, individuals, identified = assign_columns(found.row, found.names, videos)
    else:
        columns, individuals = name_columns(found.row, found.names)
        individuals = [n.replace("slot", "animal") for n in individuals]
        identified = len(individuals) == 1
    paths = iter(find_images([i for i in frames.image if i], folder))
    stated = list(zip(*(frames[side].tolist() for side in ("width", "height")), strict=True))
    known = [None if np.isnan(size).any() else (int(size[0]), int(size[1])) for size in stated]
    images, told = hold_sizes([next(paths) if there else None for there in has_image], known)
    sources, others = hold_videos(find_sources(videos, folder), videos, images, known)
    left_out += told + others
    if len(set(videos)) == 1 and not sources and not any(images) and len(beside) == 1:
        log.warning("%s: no images; taking the only video, %s", path.name, beside[0].name)
        videos, sources = [beside[0].stem] * len(frames), {beside[0].stem: beside[0]}
    return Labels(
        fill_array(found.values[..., :2], found.row, columns, (len(frames), len(individuals))),
        Skeleton(found.keypoints),
        tuple(videos),
        numbers,
        tuple(images),
        tuple(individuals),
        identified,
        sources,
        tuple(left_out),
    )


def _number_frames(frames: pd.DataFrame, videos: list[str], left_out: list[str]) -> Ints:
    """Take the frame numbers of the table, else those in the names of the images."""
    numbers = frames.frame.to_numpy(np.int64)
    in_names = find_frame_numbers(list(frames.image), videos)
    shift = np.unique((numbers - in_names)[(numbers >= 0) & (in_names >= 0)])
    if len(shift) == 1 and abs(shift[0]) == 1:
        left_out.append(
            f"the column for the frame is {shift[0]:+d} to the numbers in the names of the images: "
            "one of them counts from 1; the column is taken, as if from 0"
        )
    return np.where(numbers >= 0, numbers, in_names)


def read_table_poses(path: Path, *, video: str | None = None) -> Poses:
    """Read the poses of one video from a table with frame numbers.

    Parameters
    ----------
    path : Path
        Csv file.
    video : str, optional
        Which video or camera, where the table holds several.

    Returns
    -------
    Poses
        With the frames that the table has. Confidence 1 where there is no score.

    Raises
    ------
    FormatError
        As `read_table_labels`; also if frames have no numbers, or it is not clear of which video.
    """
    rows = read_rows(path)
    images = rows.image.unique().tolist()
    folders = dict(zip(images, name_videos(images, ""), strict=True))
    known = rows.video.where(rows.video != "", rows.image.map(folders))
    rows = rows.assign(video=known)
    listed = sorted(set(known))
    if len(listed) > 1 if video is None else video not in listed:
        raise FormatError(f"{path}: wanted one of its videos, it holds {', '.join(listed)}")
    rows = rows[known == (listed[0] if video is None else video)].reset_index(drop=True)
    found = _find_instances(rows, path)
    numbers = found.frames.frame.to_numpy(np.int64)
    from_names = find_frame_numbers(list(found.frames.image), list(found.frames.video))
    numbers = np.where(numbers >= 0, numbers, from_names)
    if (numbers < 0).any() or len(np.unique(numbers)) < len(numbers):
        raise FormatError(f"{path}: not every row has a frame number of its own; read it as labels")
    frames, place = np.unique(numbers, return_inverse=True)
    row = place[found.row]
    columns, individuals = name_columns(row, found.names)
    shape = (len(frames), len(individuals))
    identity = found.identity
    return Poses(
        fill_array(settle_points(found.values, path), row, columns, shape),
        Skeleton(found.keypoints),
        unname_slots(individuals) if found.names[0] is not None or len(individuals) > 1 else None,
        frames=frames,
        identity=None if identity is None else fill_array(identity, row, columns, shape),
    )


def _read_folder(folder: Path, left_out: list[str]) -> pd.DataFrame:
    """Read all tables below a folder; one that names no image is about the image of its name.

    Damaged ones are left out if there are others.
    """
    files = sorted(f for f in folder.rglob("*.csv") if not f.name.startswith("."))
    tables = []
    for file in files:
        try:
            with explain_damage(file):
                rows = read_rows(file, left_out)
        except FormatError as error:
            if len(files) == 1:
                raise
            # Other kinds of tables often lie beside labels.
            if "wanted columns" not in str(error):
                left_out.append(f"{file.name} is left out: {error}")
            continue
        if not (rows.image != "").any() and (rows.frame < 0).all():
            rows["image"] = file.relative_to(folder).with_suffix("").as_posix()
        elif file.parent != folder:
            inner = file.parent.relative_to(folder).as_posix()
            whole = rows.image.str.contains(r"[\\/]") | (rows.image == "")
            rows["image"] = rows.image.where(whole, inner + "/" + rows.image)
        tables.append(rows)
    if not tables:
        raise FormatError(
            f"{folder}: found no table of keypoints among {len(files)} csv files; wanted columns "
            "keypoint, x, y, or snout_x, snout_y, ..."
        )
    return pd.concat(tables, ignore_index=True)


def _find_instances(rows: pd.DataFrame, path: Path) -> _Instances:
    """Gather the rows of each animal in each frame."""
    if not (rows.image != "").any() and (rows.frame < 0).all():
        raise FormatError(f"{path}: wanted a column for the image file or the frame number")
    tracked = bool((rows.track != "").any())
    name = rows.track if tracked else rows.individual
    frame_keys = ["video", "image"] if (rows.image != "").all() else ["video", "image", "frame"]
    keys = [*frame_keys, "name"]
    rows = rows.assign(name=name)
    if "instance" in rows:
        keys.append("instance")
    number = rows.groupby(keys, sort=False).ngroup().to_numpy()
    keypoints = list(dict.fromkeys(rows.keypoint))
    keypoint = pd.Categorical(rows.keypoint, keypoints).codes
    twice = pd.DataFrame({"n": number, "k": keypoint}).duplicated().to_numpy()
    if twice.any():
        at = rows[twice].iloc[0]
        where = at.image or f"frame {at.frame}"
        raise FormatError(
            f"{path}: {at.keypoint} comes more than once in {where}; where there are several "
            "animals, a column individual or track must tell them apart"
        )
    columns = ["x", "y", *(["z"] if "z" in rows else []), *(["score"] if "score" in rows else [])]
    first = rows[~pd.Series(number, rows.index).duplicated()]
    check_room((len(first), len(keypoints), len(columns)), len(rows), what=path)
    values = np.full((len(first), len(keypoints), len(columns)), np.nan, np.float32)
    values[number, keypoint] = rows[columns].to_numpy(np.float32)
    if "score" not in rows:
        values = np.concatenate([values, np.ones_like(values[..., :1])], -1)
    # A point whose score was left empty is there all the same; `Poses` blanks those without x, y.
    values[np.isnan(values[..., -1]), -1] = 1
    row = first.groupby(frame_keys, sort=False).ngroup().to_numpy().astype(np.int64)
    listed = ["video", "image", "frame", "width", "height"]
    frames = first[~first.duplicated(frame_keys)].reindex(columns=listed)
    return _Instances(
        values,
        frames.reset_index(drop=True),
        row,
        [n or None for n in first["name"]],
        tracked,
        keypoints,
        first.identity.to_numpy(np.float32) if "identity" in rows else None,
    )


def write_csv(
    poses: Poses | Parts, path: Path, *, support: Mapping[str, Any] | None = None
) -> None:
    """Write a table: of 2D poses a long one, of 3D poses that of Anipose.

    A long table has the columns frame, individual, keypoint, x, y, confidence[, identity][, edited]
    and one row per frame, individual and keypoint; one that was not found has empty coordinates and
    confidence 0; edited is 1 where a person moved or deleted it. For 3D see
    `mapose.io.anipose.write_anipose`.
    """
    parts = Parts.of(poses, support=support)
    write = write_anipose if parts.dimensions == 3 else _write_long
    write(parts, path)


def _write_long(parts: Parts, path: Path) -> None:
    write_table((_make_long(*part) for part in parts.iterate_supported()), path)


def _make_long(poses: Poses, support: Mapping[str, Any]) -> pd.DataFrame:
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
    if "edited" in support:
        columns["edited"] = np.asarray(support["edited"]).reshape(-1).astype(int)
    return pd.DataFrame(columns)
