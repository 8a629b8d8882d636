"""DeepLabCut: projects, labelled frames (CollectedData) and results, as csv and h5."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Singles
from mapose.errors import FormatError
from mapose.io.cells import (
    EMPTY,
    TextTable,
    find_blank,
    read_first_rows,
    read_numbers,
)
from mapose.io.conventions import SINGLE, settle_points
from mapose.io.deeplabcut_config import (
    find_config,
    hold_names,
    list_sizes,
    read_config,
    read_edges,
)
from mapose.io.instances import check_room, unname_slots
from mapose.io.picture_sizes import hold_sizes, hold_videos
from mapose.io.pytables import Grid, read_grid
from mapose.io.sources import find_frame_numbers, find_images, find_sources, find_video, split_path
from mapose.labels import ORIGINS, Labels
from mapose.poses import Poses
from mapose.reading import explain_damage
from mapose.skeleton import LANDMARKS, Skeleton

log = logging.getLogger(__name__)

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
#: The animal of a table that names none.
ALONE = "animal0"
# What other tools call the confidence of a point.
_SURE = ("likelihood", "confidence", "score", "probability", "prob")
_TIME = re.compile(r"\d:\d\d")


def is_deeplabcut_csv(path: Path) -> bool:
    """Tell by the first cells of its rows whether a csv has DeepLabCut's header."""
    first = [row[0] if row else "" for row in read_first_rows(path, 4)]
    return first[:3] == ["scorer", "bodyparts", "coords"] or first == list(_LEVELS)


def is_deeplabcut_folder(path: Path) -> bool:
    """Tell whether a folder is a DeepLabCut project or one of its labeled-data folders."""
    return bool(_find_label_folders(path))


def read_deeplabcut_labels(path: Path) -> Labels:
    """Read frames labelled in DeepLabCut.

    Parameters
    ----------
    path : Path
        A project folder or its ``config.yaml``, one folder of ``labeled-data``, or one
        CollectedData file. Where there is an h5 and a csv, the h5 counts, as in DeepLabCut.

    Returns
    -------
    Labels
        Individuals are known by name in all frames if the project says ``identity: true`` or
        there is only one. Body parts of no animal are the skeleton's landmarks, and the individual
        ``landmarks`` has them.

    Raises
    ------
    FormatError
        If there are no labels or it is not clear which.
    """
    folder = path if path.is_dir() else path.parent
    config = read_config(find_config(folder))
    told: list[str] = []
    if path.is_dir() or path.name == "config.yaml":
        folders = _drop_twins(_find_label_folders(folder), config, told)
        files = [_pick_file(f, str(config.get("scorer"))) for f in folders]
    else:
        files = [path]
    if not files:
        raise FormatError(
            f"{folder}: wanted a DeepLabCut project, found no CollectedData file in labeled-data"
        )
    files, grids, left_out = _read_files(files)
    keypoints, individuals = _merge_names(grids, config)
    told += _hold_tables(grids, files, individuals)
    marks = _list_landmarks(grids, keypoints)
    names = [_name_images(g, f) for g, f in zip(grids, files, strict=True)]
    images, videos, points = [], [], []
    for file, grid, rows in zip(files, grids, names, strict=True):
        images += find_images(rows, file.parent)
        videos += [_name_video(r, file.parent) for r in rows]
        points.append(_arrange(grid, keypoints, individuals))
    sizes = list_sizes(config)
    said = [sizes.get(v) for v in videos]
    told += hold_sizes(images, said, only_tell=True)[1]
    there = {v for v, image in zip(videos, images, strict=True) if image}  # pictures say it better
    said = [None if v in there else size for v, size in zip(videos, said, strict=True)]
    found = _find_project_videos(videos, folder, config)
    sources, others = hold_videos(found, videos, images, said)
    told += others + hold_names(keypoints, config)
    array = np.concatenate(points)
    guessed = np.isfinite(array[..., :2]).all(-1) & (array[..., -1] < 1)
    if guessed.any():
        told.append(
            f"{guessed.sum()} points have a likelihood below 1, down to "
            f"{array[guessed, -1].min():.2g}: a network placed them, not a person"
        )
    return Labels(
        array[..., :2],
        Skeleton(keypoints, read_edges(config, keypoints, marks), landmarks=marks),
        tuple(videos),
        find_frame_numbers([n for rows in names for n in rows], videos),
        tuple(images),
        tuple(_name_owner(individuals, marks)),
        bool(config.get("identity")) or len(set(individuals) - {SINGLE}) == 1,
        sources,
        tuple(told + left_out),
        origins=np.where(guessed, ORIGINS.index("model"), 0),
    )


def read_deeplabcut_poses(path: Path) -> Poses:
    """Read what DeepLabCut, Lightning Pose or another tool with this layout found in a video.

    Parameters
    ----------
    path : Path
        Result as csv or h5; rows are frame numbers, coordinates x, y[, z][, likelihood], in any
        case; a likelihood may also be called confidence, score or probability.

    Returns
    -------
    Poses
        Confidence 1 where the file has no likelihood. The rate is not in such files.

    Raises
    ------
    FormatError
        If the rows are no frame numbers or the columns are not DeepLabCut's.
    """
    grid = _read_any(path)
    try:
        numbers = np.array([float(row[-1]) for row in grid.rows])
    except ValueError:
        numbers = np.array([])
    if len(numbers) < len(grid.rows):
        if any(_TIME.search(str(row[-1])) for row in grid.rows):
            raise FormatError(f"{path}: wanted frame numbers in its first column, came times")
        images = ["/".join(r) for r in map(_as_image, grid.rows)]
        frames = find_frame_numbers(images, [path.stem] * len(images))
        if (frames < 0).any() or len({split_path(i)[-2] if "/" in i else "" for i in images}) > 1:
            raise FormatError(
                f"{path}: its rows are labelled images, not the frames of one video; read it as "
                "labels"
            )
    elif not (np.abs(numbers) < 2**53).all() or (numbers % 1 != 0).any():
        raise FormatError(f"{path}: wanted whole frame numbers in its first column")
    else:
        frames = numbers.astype(np.int64)
    order = np.argsort(frames, kind="stable")
    listed, times = np.unique(frames, return_counts=True)
    if len(listed) < len(frames):
        raise FormatError(
            f"{path}: frame {listed[times > 1][0]} comes {times.max()} times, and "
            f"{(times > 1).sum()} frames more than once: is it two results in one file?"
        )
    keypoints, individuals = _merge_names([grid], {})
    array = settle_points(_arrange(grid, keypoints, individuals)[order], path)
    marks = _list_landmarks([grid], keypoints)
    named = unname_slots(_name_owner(individuals, marks)) if len(grid.columns[0]) == 4 else None
    return Poses(
        array,
        Skeleton(keypoints, landmarks=marks),
        named,
        frames=frames[order],
        unit="px" if array.shape[-1] == 3 else "unknown",
    )


def _find_label_folders(folder: Path) -> list[Path]:
    """List the folders with CollectedData of a project, or the folder itself if it has some."""
    if any(folder.glob("CollectedData*")):
        return [folder]
    for place in (folder / "labeled-data", folder):
        found = sorted({f.parent for f in place.glob("*/CollectedData*")})
        if found:
            return found
    return []


def _drop_twins(folders: list[Path], config: dict[str, Any], left_out: list[str]) -> list[Path]:
    """Leave out folders with drawn labels, ``X_labeled`` beside ``X``, that are no recordings."""
    sets = config.get("video_sets")
    listed = [split_path(str(name))[-1:] for name in (sets if isinstance(sets, dict) else ())]
    videos = {Path(last[0]).stem for last in listed if last}
    names = {f.name for f in folders}
    twins = [
        f
        for f in folders
        if f.name.endswith("_labeled")
        and f.name.removesuffix("_labeled") in names
        and f.name not in videos
    ]
    left_out += [
        f"{twin.name} is left out: it is taken for the pictures of {twin.name[:-8]} with drawn "
        "labels; if it is a recording, list its video in config.yaml"
        for twin in twins
    ]
    return [f for f in folders if f not in twins]


def _pick_file(folder: Path, scorer: str) -> Path:
    """Choose the CollectedData file of a folder: the project's scorer, h5 before csv."""
    found = [f for f in folder.glob("CollectedData*") if f.suffix in (".h5", ".csv")]
    stems = sorted({f.stem for f in found})
    own = [s for s in stems if s == f"CollectedData_{scorer}"] or stems
    if len(own) != 1:
        raise FormatError(
            f"{folder}: labels of several scorers ({', '.join(own) or 'none readable'}), and the "
            "config names none of them; read the file that you mean"
        )
    return max((f for f in found if f.stem == own[0]), key=lambda f: f.suffix == ".h5")


def _read_files(files: list[Path]) -> tuple[list[Path], list[Grid], list[str]]:
    """Read the tables of all folders; one that is damaged is left out if there are others."""
    kept, grids, left_out = [], [], []
    folders = {file.parent.name for file in files}
    for file in files:
        own = file.parent.name
        try:
            with explain_damage(file):
                grid = _drop_double_rows(_read_labelled(file), file)
        except FormatError as error:
            if len(files) == 1:
                raise
            left_out.append(f"{own} is left out: {error}")
            continue
        named = {_name_video(name, file.parent) for name in _name_images(grid, file)}
        if own not in named and named <= folders:  # the labels of one frame would be two animals
            left_out.append(
                f"{own} is left out: its table is about {', '.join(sorted(named))}, which has "
                "labels of its own"
            )
            continue
        grids.append(grid)
        kept.append(file)
    if not kept:
        raise FormatError(f"none of {len(files)} files of labels can be read: {left_out[0]}")
    return kept, grids, left_out


def _hold_tables(grids: list[Grid], files: list[Path], individuals: list[str]) -> list[str]:
    """Tell where tables contradict each other: csv and h5, with and without individuals."""
    told = []
    kinds = {len(grid.columns[0]) for grid in grids}
    if len(kinds) > 1:
        whose = _find_alone(individuals)
        told.append(f"some tables name no individuals; their points are those of {whose}")
    for grid, file in zip(grids, files, strict=True):
        csv = file.with_suffix(".csv")
        if file == csv or not csv.is_file():
            continue
        try:
            with explain_damage(csv):
                one, other = _key_points(grid), _key_points(_drop_double_rows(_read_any(csv), csv))
        except FormatError:
            continue
        differing = sum(one.get(key) != points for key, points in other.items())
        differing += len(set(one) - set(other))
        if differing:
            told.append(
                f"{file.parent.name}: {csv.name} and {file.name} differ in {differing} images; the "
                "h5 counts, as in DeepLabCut: where the csv is right, take its h5 away first"
            )
    return told


def _key_points(grid: Grid) -> dict[str, set[tuple[Any, ...]]]:
    """List the marks of each image, to a hundredth of a pixel."""
    coords = [(j, c[1:]) for j, c in enumerate(grid.columns) if c[-1] in ("x", "y")]
    found = {}
    for row, values in zip(grid.rows, np.round(grid.values, 2), strict=True):
        name = Path(_as_image(row)[-1]).stem
        found[name] = {(*c, values[j]) for j, c in coords if np.isfinite(values[j])}
    return found


def _read_labelled(path: Path) -> Grid:
    try:
        with explain_damage(path):
            return _read_any(path)
    except FormatError as error:
        csv = path.with_suffix(".csv")
        if path.suffix == ".csv" or not csv.is_file():
            raise
        log.warning("%s; taking %s instead", error, csv.name)
        return _read_any(csv)


def _read_any(path: Path) -> Grid:
    """Read either kind of file and check that it has DeepLabCut's columns of one scorer."""
    grid = _read_csv(path) if path.suffix.lower() == ".csv" else read_grid(path)
    if not grid.columns or any(len(c) not in (3, 4) for c in grid.columns):
        raise FormatError(
            f"{path}: wanted columns of scorer, [individuals,] bodyparts, coords; came "
            f"{grid.columns[:2]}"
        )
    grid = Grid([_plain(column) for column in grid.columns], grid.rows, grid.values)
    # pandas and R number columns of one name if they read one line of the header only.
    scorers = sorted({re.sub(r"\.\d+$", "", c[0]) for c in grid.columns})
    if len(scorers) > 1:
        raise FormatError(f"{path}: holds the work of several scorers: {', '.join(scorers)}")
    double = len(grid.columns) - len(set(grid.columns))
    if double:
        raise FormatError(f"{path}: {double} columns have the same name as another")
    coords: dict[tuple[str, ...], list[str]] = {}
    for column in grid.columns:
        coords.setdefault(column[1:-1], []).append(column[-1])
    for owner, found in coords.items():
        if not {"x", "y"} <= set(found):
            raise FormatError(
                f"{path}: wanted the coords x, y and perhaps likelihood of {' '.join(owner)!r}; "
                f"came {', '.join(found)}"
            )
    return grid


def _plain(column: tuple[str, ...]) -> tuple[str, ...]:
    """Call the coordinate of a column as DeepLabCut does."""
    coord = column[-1].strip().lower()
    return (*column[:-1], "likelihood" if coord in _SURE else coord)


def _drop_double_rows(grid: Grid, path: Path) -> Grid:
    """Keep the last row of each image: merging label files by hand leaves double ones."""
    last = {tuple(_as_image(row)): r for r, row in enumerate(grid.rows)}
    if len(last) == len(grid.rows):
        return grid
    log.warning("%s: %d images come twice, the last row counts", path, len(grid.rows) - len(last))
    kept = sorted(last.values())
    return Grid(grid.columns, [grid.rows[r] for r in kept], grid.values[kept])


def _read_csv(path: Path) -> Grid:
    table = TextTable(path)
    head = [table.read_row() for _ in range(3)]
    if head[2][:1] != ["coords"]:
        head.append(table.read_row())
    if head[-1][:1] != ["coords"]:
        raise FormatError(f"{path}: wanted DeepLabCut's header rows {', '.join(_LEVELS)}")
    # Leading columns are the row's name. The first line may be shorter than the others where
    # somebody added body parts by hand, so it is the coords that count the columns.
    blank = find_blank(head[-1])
    n_index = next((i for i, empty in enumerate(blank) if i and not empty), 1)
    body = table.read_rest(n_index)
    width = max(i + 1 for row in head for i, empty in enumerate(find_blank(row)) if not empty)
    beyond = body.iloc[:, width:]
    if not beyond.isin(EMPTY).where(beyond.notna(), True).all(axis=None):
        raise FormatError(
            f"{path}: {width} columns in the header, {len(body.columns)} below it; a name with a "
            "comma in it has to stand in quotes"
        )
    head = [row + [row[-1] if n == 0 else ""] * (width - len(row)) for n, row in enumerate(head)]
    columns = [tuple(row[i] for row in head) for i in range(n_index, width)]
    kept = [i for i, c in enumerate(columns, n_index) if not _is_passed_over(c, path)]
    values = read_numbers(body[kept], table)
    rows = list(body.iloc[:, :n_index].itertuples(index=False, name=None))
    return Grid([columns[i - n_index] for i in kept], rows, values)


def _is_passed_over(column: tuple[str, ...], path: Path) -> bool:
    """Tell whether a column holds nothing of keypoints, as Lightning Pose's last one, ``set``."""
    blank = find_blank(column)
    passed = blank[-1] or len(set(column)) == 1
    if passed:
        named = [part for part, empty in zip(column, blank, strict=True) if not empty]
        log.warning("%s: its column %s holds no coordinates, and is passed over", path, named[0])
    return passed


def _as_image(row: tuple[Any, ...]) -> list[str]:
    """Take a row's name apart: old files have a path, newer ones three levels."""
    return [part for cell in row for part in split_path(str(cell))]


def _name_images(grid: Grid, file: Path) -> list[str]:
    """Name the image of each row; the recording is called as the folder that the file lies in.

    Spreadsheets and pandas take names such as 007, 1.10 and 1e3 for numbers and write 7, 1.1 and
    1000.0 into the table; the folder keeps the name.
    """
    folder, names = file.resolve().parent.name, []
    for parts in map(_as_image, grid.rows):
        if len(parts) > 1 and _is_same_number(parts[-2], folder):
            parts[-2] = folder
        names.append("/".join(parts))
    return names


def _is_same_number(one: str, other: str) -> bool:
    try:
        return float(one.replace(",", ".")) == float(other)
    except ValueError:
        return False


def _name_video(image: str, folder: Path) -> str:
    parts = image.split("/")
    name = parts[-2] if len(parts) > 1 else folder.name
    # Lightning Pose keeps images in labeled-data itself where there is one video.
    return folder.name if name == "labeled-data" else name


def _merge_names(grids: Sequence[Grid], config: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Collect body parts, in the order of the config, and individuals; landmarks come last."""
    parts: dict[str, None] = {}
    individuals: dict[str, None] = {}
    for grid in grids:
        parts |= dict.fromkeys(c[-2] for c in grid.columns)
        individuals |= dict.fromkeys(c[1] for c in grid.columns if len(c) == 4)
    wanted: list[Any] = []
    for key in ("bodyparts", "multianimalbodyparts", "uniquebodyparts"):
        value = config.get(key)
        wanted += value if isinstance(value, list) else []
    # The one animal of tables that name none: see `_find_alone`.
    if any(len(grid.columns[0]) == 3 for grid in grids) and (
        config.get("identity") or not set(individuals) - {SINGLE}
    ):
        individuals[ALONE] = None
    order = {str(name): i for i, name in reversed(list(enumerate(wanted)))}
    keypoints = sorted(parts, key=lambda p: order.get(p, len(order)))
    owner = SINGLE if _list_landmarks(grids, keypoints) else None
    return keypoints, sorted(individuals, key=lambda i: i == owner)


def _list_landmarks(grids: Iterable[Grid], keypoints: list[str]) -> list[str]:
    """List the body parts that only the individual `SINGLE` has, beside other individuals.

    Where a table has columns of all individuals and all body parts, coordinates decide.
    """
    columns, filled = set(), set()
    for grid in grids:
        there = np.atleast_1d(np.isfinite(grid.values).any(0))
        for column, some in zip(grid.columns, there, strict=True):
            if len(column) == 4:
                owner = (column[1] == SINGLE, column[2])
                columns.add(owner)
                filled |= {owner} if some and column[-1] in ("x", "y") else set()
    if not any(not nobody for nobody, _ in columns):
        return []
    return [
        k
        for k in keypoints
        if (True, k) in columns
        and (False, k) not in filled
        and ((True, k) in filled or (False, k) not in columns)
    ]


def _name_owner(individuals: list[str], landmarks: list[str]) -> list[str]:
    """Call the individual that has the landmarks as we do."""
    return [LANDMARKS if name == SINGLE and landmarks else name for name in individuals]


def _find_alone(individuals: list[str]) -> str:
    """Find whose the points of a table without individuals are.

    They are the first one's where other tables name some: projects of one animal that became ones
    of several keep such tables. Where names are animals, it is one of its own.
    """
    if ALONE in individuals:
        return ALONE
    return next((i for i in individuals if i != SINGLE), SINGLE)


def _arrange(grid: Grid, keypoints: list[str], individuals: list[str]) -> Singles:
    """Put columns into float32 (F, I, K, 3 or 4): x, y[, z], likelihood."""
    alone = _find_alone(individuals)
    coords = {c[-1] for c in grid.columns}
    axes = ["x", "y", *(["z"] if "z" in coords else [])]
    place = {a: i for i, a in enumerate(axes)} | {"likelihood": len(axes)}
    shape = (len(grid.rows), len(individuals), len(keypoints), len(axes) + 1)
    check_room(shape, grid.values.size, what="the table")
    array = np.full(shape, np.nan, np.float32)
    array[..., -1] = 1
    for j, name in enumerate(grid.columns):
        i = individuals.index(name[1] if len(name) == 4 else alone)
        k = keypoints.index(name[-2])
        if name[-1] in place:
            array[:, i, k, place[name[-1]]] = grid.values[:, j]
        elif name[-1] == "visible":  # Lightning Pose: 0 not labelled, 1 occluded, 2 visible
            array[grid.values[:, j] == 0, i, k, :-1] = np.nan
    return array


def _find_project_videos(
    videos: list[str], folder: Path, config: dict[str, Any]
) -> dict[str, Path]:
    """Find the videos that the config names, beside the labels or where they once were."""
    listed = config.get("video_sets")
    named: dict[str, Path] = {}
    for name in listed if isinstance(listed, dict) else {}:
        path = Path(str(name))
        stem = re.sub(r"\.\w{2,4}$", "", split_path(str(name))[-1]) if str(name).strip() else ""
        if stem in videos and stem not in named:
            beside = find_video(str(name), [folder, *folder.resolve().parents[:2]])
            found = beside or (path if path.is_file() else None)
            if found:
                named[stem] = found
    return named | find_sources([v for v in videos if v not in named], folder)
