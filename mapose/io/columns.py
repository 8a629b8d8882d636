"""The columns of plain tables: found by name or, without a header, by content."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from mapose.errors import FormatError
from mapose.io.cells import EMPTY, TextTable, find_blank, mend_decimals
from mapose.io.conventions import distinguish_names
from mapose.io.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES

# What a column may be called: sure names, then names that count only if no sure one is there.
SYNONYMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "video": (("video", "video_name", "camera", "view", "movie"), ()),
    "image": (
        ("image", "image_name", "image_path", "image_file", "img", "img_name", "filename"),
        ("file", "file_name", "path", "picture"),
    ),
    "frame": (
        ("frame", "frame_idx", "frame_index", "frame_number", "frame_id", "frames"),
        ("image_index", "fnum", "slice"),
    ),
    "track": (("track", "track_id", "track_name", "object_id"), ("identity", "animal_id")),
    "individual": (("individual", "individuals", "animal", "subject"), ("instance", "detection")),
    "keypoint": (
        ("keypoint", "keypoints", "bodypart", "bodyparts", "body_part", "landmark", "joint"),
        ("label", "part", "node", "name", "point", "marker", "class"),
    ),
    "width": (("image_width", "img_width"), ()),
    "height": (("image_height", "img_height"), ()),
    "x": (("x", "x_px", "x_pos", "pos_x", "x_coord", "coord_x", "point_x"), ()),
    "y": (("y", "y_px", "y_pos", "pos_y", "y_coord", "coord_y", "point_y"), ()),
    "z": (("z",), ()),
    "score": (("score", "confidence", "likelihood", "probability", "prob"), ()),
    "visible": (("visible", "visibility", "vis"), ()),
}
_WIDE = re.compile(
    r"^(.+?)[ ._:-]+(x|y|score|confidence|likelihood|visible|visibility)$", re.I | re.S
)
# What trackers write for an animal that belongs to no track.
_UNTRACKED = ("-1", "-1.0", "nan", "none", "null")
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_NUMBERS = ("frame", "width", "height", "x", "y", "z", "score", "visible", "identity")
_TEXT = ("video", "image", "track", "individual", "keypoint")
_WIDE_FIELDS = {"confidence": "score", "likelihood": "score", "visibility": "visible"}


def read_rows(path: Path, left_out: list[str] | None = None) -> pd.DataFrame:
    """Read a table into the columns that `SYNONYMS` names, plus `instance`, one per animal.

    Parameters
    ----------
    path : Path
        Csv file.
    left_out : list of str, optional
        Filled with a sentence if rows are left out because their numbers cannot be read; without
        it, and where it is more than every second row, such a table is refused.

    Raises
    ------
    FormatError
        If a column is missing or could be meant in two ways, or numbers cannot be read.
    """
    table = TextTable(path)
    raw = _read_cells(table)
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
    numbers = [field for field in _NUMBERS if field in rows]
    rows = rows.copy()
    rows[numbers] = mend_decimals(rows[numbers], table)
    return _clean(rows, path, left_out)


def _read_cells(table: TextTable) -> pd.DataFrame:
    """Read all cells as text; find out whether there is a header."""
    path, first = table.path, table.read_row()
    headless = any(_is_number(cell) for cell in first)
    cells = table.read_rest().astype(str)
    if headless:
        cells = pd.concat([pd.DataFrame([first]), cells], ignore_index=True).fillna("")
        cells.columns = [str(c) for c in cells.columns]
        return _name_columns_by_content(cells, path)
    names = [*first, *[""] * (cells.shape[1] - len(first))]
    empty = [blank and (cells[c] == "").all() for c, blank in enumerate(find_blank(names))]
    kept = [c for c, nothing in enumerate(empty) if not nothing]
    cells = cells[kept]
    if beyond := [c for c in kept if c >= len(first)]:
        raise FormatError(
            f"{path}: {len(first)} columns in the header, {beyond[-1] + 1} below it; a name with "
            "a comma in it has to stand in quotes"
        )
    cells.columns = distinguish_names([names[c] for c in kept])
    return cells


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
    # Make Sense writes the size of the image behind its name.
    sizes = ["image_width", "image_height"] if images and len(numeric) == 4 else []
    chosen = dict(
        zip(
            [*images, *others, *numeric[: 2 + len(sizes)]],
            [*["image"] * len(images), "keypoint", "x", "y", *sizes],
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
    known = ("video", "image", "frame", "width", "height", "track", "individual")
    keys = [f for f in known if f in fields]
    parts = []
    for name, columns in wide.items():
        part = raw[[fields[f] for f in keys] + list(columns.values())]
        part = part.set_axis([*keys, *columns], axis=1)
        parts.append(part.assign(keypoint=name, instance=np.arange(len(raw))))
    return pd.concat(parts, ignore_index=True).fillna("")


def _clean(rows: pd.DataFrame, path: Path, left_out: list[str] | None) -> pd.DataFrame:
    """Bring every column to its type; what is missing becomes empty or NaN."""
    for field in _TEXT:
        rows[field] = rows[field].str.strip() if field in rows else ""
    rows["track"] = rows.track.where(~rows.track.str.lower().isin(_UNTRACKED), "")
    if "frame" in rows and pd.to_numeric(rows.frame[rows.frame != ""], errors="coerce").hasnans:
        if (rows.image != "").any():
            raise FormatError(f"{path}: the column for the frame holds text; wanted numbers")
        rows["image"] = rows.pop("frame")  # the frame's file name
    films = rows.image.str.lower().str.endswith(VIDEO_SUFFIXES)
    if films.any():  # a column "file" may name the video as well as the image
        rows["video"] = rows.video.where(~films, rows.image.map(lambda f: Path(f).stem))
        rows["image"] = rows.image.where(~films, "")
    rows = _drop_damaged(rows, path, left_out)
    for field in _NUMBERS:
        if field in rows:
            rows[field] = _read_numbers(rows[field], path)
    if "frame" in rows and (rows.frame.dropna() % 1 != 0).any():
        raise FormatError(f"{path}: wanted whole frame numbers, came fractions such as seconds")
    rows["frame"] = rows.frame.fillna(-1).astype(np.int64) if "frame" in rows else -1
    if "visible" in rows:
        rows.loc[rows.visible == 0, ["x", "y"]] = np.nan
    if (rows.keypoint == "").any():
        raise FormatError(f"{path}: {(rows.keypoint == '').sum()} rows name no keypoint")
    return rows


def _drop_damaged(rows: pd.DataFrame, path: Path, left_out: list[str] | None) -> pd.DataFrame:
    """Leave out rows whose numbers cannot be read, and say so, if they are the lesser part."""
    wrong = pd.Series(False, rows.index)
    for field in _NUMBERS:
        if field in rows:
            wrong |= _find_wrong(rows[field])
    if left_out is None or not wrong.any() or wrong.mean() > 0.5:
        return rows
    left_out.append(f"{path.name}: {wrong.sum()} rows are left out: their numbers cannot be read")
    return rows[~wrong].reset_index(drop=True)


def _find_wrong(column: pd.Series) -> pd.Series:
    text = column.str.strip().str.lower()
    return pd.to_numeric(text, errors="coerce").isna() & ~text.isin([*EMPTY, *_WORDS])


def _read_numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    odd = column[numbers.isna()].str.strip().str.lower()
    numbers = numbers.fillna(odd.map(_WORDS).astype(np.float64))
    wrong = odd[~odd.isin([*EMPTY, *_WORDS])]
    if len(wrong):
        raise FormatError(f"{path}: wanted numbers as {column.name}, came {wrong.iloc[0]!r}")
    return numbers
