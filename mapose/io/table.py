"""Plain tables of keypoints, as many labelling tools and scripts write them.

Long tables have one keypoint per row: image or frame, [individual,] keypoint, x, y. Wide tables
have one animal per row: image or frame, [individual,] snout_x, snout_y, ... A folder may hold one
table per image. Columns are known by name (`SYNONYMS`), in any case and order; what could be meant
in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mapose.errors import FormatError
from mapose.io.instances import assign_columns, fill_array, name_columns, unname_slots
from mapose.io.sources import (
    IMAGE_SUFFIXES,
    find_frame_numbers,
    find_images,
    find_sources,
    list_videos,
    name_videos,
)
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.skeleton import Skeleton

# What a column may be called: sure names, then names that count only if no sure one is there.
SYNONYMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "video": (("video", "video_name", "camera", "view", "movie"), ()),
    "image": (
        ("image", "image_name", "image_path", "image_file", "img", "img_name", "filename"),
        ("file", "file_name", "path", "picture"),
    ),
    "frame": (
        ("frame", "frame_idx", "frame_index", "frame_number", "frame_id", "frames"),
        ("image_index", "fnum", "slice", "time"),
    ),
    "track": (("track", "track_id", "track_name", "object_id"), ("identity", "animal_id")),
    "individual": (("individual", "individuals", "animal", "subject"), ("instance", "detection")),
    "keypoint": (
        ("keypoint", "keypoints", "bodypart", "bodyparts", "body_part", "landmark", "joint"),
        ("label", "part", "node", "name", "point", "marker", "class"),
    ),
    "x": (("x", "x_px", "x_pos", "pos_x", "x_coord", "coord_x", "point_x"), ()),
    "y": (("y", "y_px", "y_pos", "pos_y", "y_coord", "coord_y", "point_y"), ()),
    "z": (("z",), ()),
    "score": (("score", "confidence", "likelihood", "probability", "prob"), ()),
    "visible": (("visible", "visibility", "vis"), ()),
}
_WIDE = re.compile(r"^(.+?)[ ._:-]+(x|y|score|confidence|likelihood|visible|visibility)$", re.I)
_TEXT = ("video", "image", "track", "individual", "keypoint")
_WIDE_FIELDS = {"confidence": "score", "likelihood": "score", "visibility": "visible"}


@dataclass(frozen=True)
class _Instances:
    """Instances of a table: one entry each, keypoints x (x, y[, z], score)."""

    values: npt.NDArray[np.float32]
    frames: pd.DataFrame  # columns video, image, frame: one row per frame, in order of appearance
    row: npt.NDArray[np.int64]
    names: list[str | None]
    tracked: bool  # the names are tracks or animals, not only numbers within a frame
    keypoints: list[str]
    identity: npt.NDArray[np.float32] | None


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
    rows = _read_folder(path) if path.is_dir() else _read_file(path)
    folder = path if path.is_dir() else path.parent
    found = _find_instances(rows, path)
    frames = found.frames
    has_image = frames.image != ""
    videos = list(frames.video)
    if not has_image.any() and not any(videos):
        # Numbers without a file name: they are frames of the video with the table's own name,
        # or of the only video that lies beside it.
        beside = list_videos(folder)
        own = [v for v in beside if v.stem == path.stem] or (beside if len(beside) == 1 else [])
        stem = name_videos([f"{path.stem}/0"], folder.resolve().name)[0]
        videos = [own[0].stem if own else stem] * len(frames)
    named = name_videos(list(frames.image), folder.resolve().name)
    videos = [v or n for v, n in zip(videos, named, strict=True)]
    numbers = frames.frame.to_numpy(np.int64)
    numbers = np.where(numbers >= 0, numbers, find_frame_numbers(list(frames.image), videos))
    if found.tracked:
        columns, individuals, identified = assign_columns(found.row, found.names, videos)
    else:
        columns, individuals = name_columns(found.row, found.names)
        individuals = [n.replace("slot", "animal") for n in individuals]
        identified = len(individuals) == 1
    images = iter(find_images([i for i in frames.image if i], folder))
    return Labels(
        fill_array(found.values[..., :2], found.row, columns, (len(frames), len(individuals))),
        Skeleton(found.keypoints),
        tuple(videos),
        numbers,
        tuple(next(images) if there else None for there in has_image),
        tuple(individuals),
        identified,
        find_sources(videos, folder),
    )


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
    rows = _read_file(path)
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
        fill_array(found.values, row, columns, shape),
        Skeleton(found.keypoints),
        unname_slots(individuals) if found.names[0] is not None or len(individuals) > 1 else None,
        frames=frames,
        identity=None if identity is None else fill_array(identity, row, columns, shape),
    )


def _read_folder(folder: Path) -> pd.DataFrame:
    """Read all tables below a folder; one that names no image is about the image of its name."""
    files = sorted(f for f in folder.rglob("*.csv") if not f.name.startswith("."))
    tables = []
    for file in files:
        try:
            rows = _read_file(file)
        except FormatError as error:
            if len(files) == 1 or "wanted columns" not in str(error):
                raise
            continue  # another kind of table, which labels often lie beside
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


def _read_file(path: Path) -> pd.DataFrame:
    """Read a table into the columns that `SYNONYMS` names, plus `instance`, one per animal."""
    raw = _read_cells(path)
    if raw.empty:
        raise FormatError(f"{path}: the table is empty; wanted a row per keypoint or animal")
    fields = _match_columns(list(raw.columns), path)
    wide = _match_wide(list(raw.columns))
    if {"x", "y", "keypoint"} <= set(fields):
        rows = raw[list(fields.values())].set_axis(list(fields), axis=1)
    elif {"x", "y"} <= set(fields) or not wide:
        raise FormatError(
            f"{path}: wanted columns for keypoint, x and y (or snout_x, snout_y, ...), and for "
            f"image or frame; found {', '.join(map(str, raw.columns))}"
        )
    else:
        rows = _melt(raw, fields, wide)
    if "identity" in raw and "individual" in fields and fields.get("track") == "identity":
        # Our own export: the probability that the name is right, not a name.
        rows = rows.rename(columns={"track": "identity"})
    return _clean(rows.copy(), path)


def _read_cells(path: Path) -> pd.DataFrame:
    """Read all cells as text; find the separator, and whether there is a header."""
    try:
        with path.open(encoding="utf-8-sig", errors="strict") as file:
            first = file.readline()
            second = file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not a plain text table: {error}") from error
    separator = max(",;\t", key=first.count)
    headless = any(_is_number(cell) for cell in first.strip().split(separator))
    # Spreadsheets of half of Europe write 12,5 and separate columns by ;
    decimal = separator == ";" and "," in (second or first)
    try:
        cells = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            header=None if headless else 0,
            encoding="utf-8-sig",
            index_col=False,
        )
    except ValueError as error:
        raise FormatError(f"{path} cannot be read as a table: {error}") from error
    cells.columns = [str(c).strip() for c in cells.columns]
    if decimal:
        number = r"^\s*-?\d*,\d+\s*$"
        cells = cells.apply(lambda c: c.where(~c.str.match(number), c.str.replace(",", ".")))
    return _name_columns_by_content(cells, path) if headless else cells


def _name_columns_by_content(cells: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Name the columns of a table without header: file names, keypoints, then x and y."""
    numeric = [c for c in cells if cells[c].map(_is_number).all()]
    texts = [c for c in cells if c not in numeric]
    images = [c for c in texts if cells[c].str.lower().str.endswith(IMAGE_SUFFIXES).all()]
    others = [c for c in texts if c not in images]
    if len(images) > 1 or len(others) != 1 or len(numeric) < 2:
        raise FormatError(
            f"{path}: has no header and wanted columns cannot be told from their content: a "
            f"keypoint name, x, y and at most one image file; first row {list(cells.iloc[0])}"
        )
    chosen = dict(
        zip(
            [*images, *others, *numeric[:2]],
            [*["image"] * len(images), "keypoint", "x", "y"],
            strict=True,
        )
    )
    return cells[list(chosen)].rename(columns=chosen)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _match_columns(columns: Iterable[str], path: Path) -> dict[str, str]:
    """Find the column of each field; refuse where two could be meant."""
    plain = {c: re.sub(r"[ .:-]+", "_", c.strip().lower()) for c in columns}
    fields: dict[str, str] = {}
    for field, (sure, weak) in SYNONYMS.items():
        found = [c for c in plain if plain[c] in sure] or [c for c in plain if plain[c] in weak]
        if len(found) > 1:
            raise FormatError(
                f"{path}: the columns {' and '.join(map(repr, found))} could both be the {field}; "
                "remove or rename one"
            )
        if found:
            fields[field] = found[0]
    return fields


def _match_wide(columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Find keypoints that have a column each for x and y, and what else they have."""
    parts: dict[str, dict[str, str]] = {}
    for column in columns:
        match = _WIDE.match(column)
        if match:
            field = match.group(2).lower()
            parts.setdefault(match.group(1), {})[_WIDE_FIELDS.get(field, field)] = column
    return {name: fields for name, fields in parts.items() if {"x", "y"} <= set(fields)}


def _melt(
    raw: pd.DataFrame, fields: dict[str, str], wide: dict[str, dict[str, str]]
) -> pd.DataFrame:
    keys = [f for f in ("video", "image", "frame", "track", "individual") if f in fields]
    parts = []
    for name, columns in wide.items():
        part = raw[[fields[f] for f in keys] + list(columns.values())]
        part = part.set_axis([*keys, *columns], axis=1)
        parts.append(part.assign(keypoint=name, instance=np.arange(len(raw))))
    return pd.concat(parts, ignore_index=True)


def _clean(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Bring every column to its type; what is missing becomes empty or NaN."""
    for field in _TEXT:
        rows[field] = rows[field].str.strip() if field in rows else ""
    if "frame" in rows and pd.to_numeric(rows.frame[rows.frame != ""], errors="coerce").hasnans:
        if (rows.image != "").any():
            raise FormatError(f"{path}: the column for the frame holds text; wanted numbers")
        rows["image"] = rows.pop("frame")  # the frame's file name
    for field in ("frame", "x", "y", "z", "score", "visible", "identity"):
        if field in rows:
            rows[field] = _read_numbers(rows[field], path)
    rows["frame"] = rows.frame.fillna(-1).astype(np.int64) if "frame" in rows else -1
    if "visible" in rows:
        rows.loc[rows.visible == 0, ["x", "y"]] = np.nan
    if (rows.keypoint == "").any():
        raise FormatError(f"{path}: {(rows.keypoint == '').sum()} rows name no keypoint")
    return rows


def _read_numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    odd = column[numbers.isna()].str.strip().str.lower()
    words = odd.map({"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}).dropna()
    numbers[words.index] = words
    wrong = odd[~odd.isin(["", "nan", "na", "none", "null", "true", "false", "yes", "no"])]
    if len(wrong):
        raise FormatError(f"{path}: wanted numbers as {column.name}, came {wrong.iloc[0]!r}")
    return numbers


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
    values = np.full((len(first), len(keypoints), len(columns)), np.nan, np.float32)
    values[number, keypoint] = rows[columns].to_numpy(np.float32)
    if "score" not in rows:
        values = np.concatenate([values, np.ones_like(values[..., :1])], -1)
    # A point whose score was left empty is there all the same; `Poses` blanks those without x, y.
    values[np.isnan(values[..., -1]), -1] = 1
    row = first.groupby(frame_keys, sort=False).ngroup().to_numpy().astype(np.int64)
    frames = first[~first.duplicated(frame_keys)][["video", "image", "frame"]]
    return _Instances(
        values,
        frames.reset_index(drop=True),
        row,
        [n or None for n in first["name"]],
        tracked,
        keypoints,
        first.identity.to_numpy(np.float32) if "identity" in rows else None,
    )
