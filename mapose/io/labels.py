"""The project's own label store: plain text that a person and git can read.

``labels/<video>/labels.csv`` lies beside its frames, one row per individual and keypoint:
``image,frame,individual,keypoint,x,y,visible,origin``. ``visible`` is 1, or 0 for a keypoint that
is not marked, or one of the words ``occluded`` (hidden, at a place that is known) and ``absent``
(not in the picture). ``origin`` says where a point came from: a person, a model, a copy,
triangulation; it may be missing. A frame whose number is unknown has an empty ``frame``. Further
columns, and coordinates of what is not visible, are a person's own: they are not read, but stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mapose.errors import FormatError, suggest_name
from mapose.io.cells import write_table
from mapose.io.instances import check_room
from mapose.labels import ABSENT, OCCLUDED, ORIGINS, STATES, VISIBLE, Labels
from mapose.reading import explain_damage, is_plain_name
from mapose.skeleton import Skeleton

COLUMNS = ("image", "frame", "individual", "keypoint", "x", "y", "visible")
_ORIGIN = "origin"
# What stands in the column visible, by the numbers of `STATES`.
_SIGNS = np.array(["0", "1", STATES[OCCLUDED], STATES[ABSENT]])
FILE = "labels.csv"
# A place of what is not marked.
_HIDDEN = re.compile(rb",[^,\n]+,[^,\n]*,0,[a-z]*$|,[^,\n]*,[^,\n]+,0,[a-z]*$", re.MULTILINE)
# A whole number that a float holds exactly.
_MOST_FRAMES = 2**53


def name_image(frame: int) -> str:
    """Name the image of a frame of a video.

    Examples
    --------
    >>> name_image(1200)
    'frame001200.png'
    """
    return f"frame{frame:06d}.png"


def save_labels(labels: Labels, folder: str | Path) -> list[Path]:
    """Write labels as one csv per video, beside the frames that are there already.

    Parameters
    ----------
    labels : Labels
        Every image must be a file in ``folder/<video>``. Coordinates are kept to 0.001 px.
    folder : Path
        The folder ``labels`` of a project. Videos that ``labels`` does not hold stay as they
        are; a video that it holds is replaced as a whole, but for a person's own columns.

    Returns
    -------
    list of Path
        The files written, each with rows sorted by frame.

    Raises
    ------
    FormatError
        If there is nothing to save, or an image is missing, lies elsewhere or comes twice.
    """
    folder = Path(folder)
    if not len(labels):
        raise FormatError(f"no labels to save in {folder}: the label set has no frames")
    _check_images(labels, folder)
    videos = np.array(labels.videos)
    paths = []
    for video in sorted(set(labels.videos)):
        part = labels.take(np.flatnonzero(videos == video))
        path = folder / video / FILE
        table = _keep_own(_make_table(part), path)
        write_table([table], path)
        paths.append(path)
    return paths


def load_labels(
    folder: str | Path,
    skeleton: Skeleton,
    *,
    identified: bool | None = None,
    videos: Iterable[str] | None = None,
) -> Labels:
    """Read all labels of a project.

    Parameters
    ----------
    folder : Path
        The folder ``labels`` of a project.
    skeleton : Skeleton
        Of the project. A keypoint of it that no file mentions is not marked anywhere.
    identified : bool, optional
        Whether an individual is the same animal in all frames of a video: the files do not
        say. By default only where there is but one individual.
    videos : iterable of str, optional
        Read those of these videos only.

    Returns
    -------
    Labels
        Sorted by video, then as in the files. NaN and infinite coordinates count as not marked.

    Raises
    ------
    FormatError
        If there are no labels, an image does not exist, a keypoint is unknown, or a row is
        double or unreadable.
    """
    folder = Path(folder)
    wanted = None if videos is None else set(videos)
    files = [f for f in list_files(folder) if wanted is None or f.parent.name in wanted]
    tables = []
    for file in files:
        with explain_damage(file):
            tables.append(_read_table(file, skeleton))
    rows = pd.concat(tables) if tables else pd.DataFrame(columns=[*COLUMNS, "video"])
    if rows.empty:
        raise FormatError(
            f"no labels in {folder}: wanted {FILE} with at least one row in a folder per video; "
            "label some frames or import labels"
        )
    frames = rows.drop_duplicates(["video", "image"])
    images = [folder / v / i for v, i in zip(frames.video, frames.image, strict=True)]
    check_exist(images, folder)
    row = pd.MultiIndex.from_frame(frames[["video", "image"]]).get_indexer(
        pd.MultiIndex.from_frame(rows[["video", "image"]])
    )
    column, individuals = pd.factorize(rows.individual)
    keypoint = [skeleton.index(k) for k in rows.keypoint]
    shape = (len(frames), len(individuals), len(skeleton.keypoints), 2)
    check_room(shape, 2 * len(rows), what=folder)
    points = np.full(shape, np.nan, np.float32)
    points[row, column, keypoint] = rows[["x", "y"]].to_numpy(np.float32)
    states, origins = np.zeros(shape[:3], np.uint8), np.zeros(shape[:3], np.uint8)
    states[row, column, keypoint] = rows.visible
    origins[row, column, keypoint] = rows[_ORIGIN]
    return Labels(
        points,
        skeleton,
        tuple(frames.video),
        frames.frame.to_numpy(np.int64),
        tuple(images),
        tuple(individuals),
        len(individuals) == 1 if identified is None else identified,
        states=states,
        origins=origins,
    )


def list_files(folder: str | Path) -> list[Path]:
    """List the files of labels in a project's folder ``labels``, one per video, sorted."""
    return sorted(Path(folder).glob(f"*/{FILE}"))


def _make_table(labels: Labels) -> pd.DataFrame:
    """Lay out one video's labels, one row per individual and keypoint, sorted by frame."""
    names = [p.name if p else "" for p in labels.images]
    order = sorted(range(len(labels)), key=lambda r: (labels.frames[r], names[r]))
    f, i, k, _ = labels.points.shape
    xy = labels.points[order].reshape(-1, 2)
    marked = np.isfinite(xy[:, 0] + xy[:, 1])
    texts = np.where(marked[:, None], np.char.mod("%.3f", xy), "")
    numbers = ["" if labels.frames[r] < 0 else str(labels.frames[r]) for r in order]
    return pd.DataFrame(
        {
            "image": np.repeat([names[r] for r in order], i * k),
            "frame": np.repeat(numbers, i * k),
            "individual": np.tile(np.repeat(labels.individuals, k), f),
            "keypoint": np.tile(labels.skeleton.keypoints, f * i),
            "x": texts[:, 0],
            "y": texts[:, 1],
            "visible": _SIGNS[labels.find_states()[order].ravel()],
            _ORIGIN: np.array(ORIGINS)[labels.find_origins()[order].ravel()],
        },
        columns=[*COLUMNS, _ORIGIN],
    )


def _keep_own(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Take over what a person keeps in the file that is to be replaced: columns, hidden places.

    Rows are known by image, individual and keypoint; new ones have nothing in such columns.
    """
    if not path.is_file() or not _holds_own(path.read_bytes()):
        return table
    with explain_damage(path):
        old = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    keys = ["image", "individual", "keypoint"]
    own = [c for c in old if c not in (*COLUMNS, _ORIGIN)]
    if not set(COLUMNS) <= set(old) or old.duplicated(keys).any():
        return table
    old = old.rename(columns={"x": "old_x", "y": "old_y", "visible": "old_visible"})
    kept = table.merge(old[[*keys, *own, "old_x", "old_y", "old_visible"]], "left", keys)
    hidden = (kept.visible == "0") & (pd.to_numeric(kept.old_visible, errors="coerce") == 0)
    for axis in ("x", "y"):
        kept[axis] = kept[axis].where(~hidden, kept[f"old_{axis}"])
    return kept[[*COLUMNS, _ORIGIN, *own]]


def _holds_own(text: bytes) -> bool:
    """Tell by a quick look whether a table may hold more than our own columns, or hidden places."""
    head, _, rows = text.partition(b"\n")
    return head != ",".join((*COLUMNS, _ORIGIN)).encode() or _HIDDEN.search(rows) is not None


def _read_table(path: Path, skeleton: Skeleton) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} cannot be read as a table: {error}") from error
    missing = [c for c in COLUMNS if c not in rows]
    if missing:
        raise FormatError(f"{path}: wanted the columns {', '.join(COLUMNS)}; missing {missing}")
    odd = [name for name in rows.image.unique() if not is_plain_name(name)]
    if odd:
        raise FormatError(
            f"{path}: wanted the names of images beside it, came {odd[0]!r}; put the image there"
        )
    for name in dict.fromkeys(rows.keypoint):
        if name not in skeleton.keypoints:
            hint = suggest_name(name, skeleton.keypoints)
            raise FormatError(f"{path}: no keypoint {name!r} in the skeleton: {hint}")
    double = rows[rows.duplicated(["image", "individual", "keypoint"])]
    if len(double):
        first = double.iloc[0]
        raise FormatError(
            f"{path}: {len(double)} rows come twice, first {first.image}, {first.individual}, "
            f"{first.keypoint}; remove one of each"
        )
    for name in ("frame", "x", "y"):
        rows[name] = _read_numbers(rows[name], path)
    rows["visible"] = _read_states(rows["visible"], path)
    rows[_ORIGIN] = _read_origins(rows, path)
    if not (rows.frame.fillna(-1) % 1 == 0).all() or rows.frame.abs().max() > _MOST_FRAMES:
        raise FormatError(f"{path}: wanted whole frame numbers of at most {_MOST_FRAMES}")
    rows["frame"] = rows.frame.fillna(-1).astype(np.int64)
    numbers = rows[["image", "frame"]].drop_duplicates()
    twice = numbers.image[numbers.image.duplicated()]
    if len(twice):
        both = " and ".join(map(str, numbers.frame[numbers.image == twice.iloc[0]]))
        raise FormatError(
            f"{path}: {twice.iloc[0]} is said to be frames {both}; give all its rows one number"
        )
    rows.loc[~rows.visible.isin([VISIBLE, OCCLUDED]), ["x", "y"]] = np.nan
    return rows.assign(video=path.parent.name)


def _read_states(column: pd.Series, path: Path) -> pd.Series:
    """Read the column visible as numbers of `STATES`; any number but 0 means visible."""
    words = column.str.strip().str.lower()
    known = words.map({STATES[code]: code for code in (OCCLUDED, ABSENT)})
    numbers = _read_numbers(column.where(known.isna(), "0"), path)
    return known.fillna((numbers != 0).astype(int) * VISIBLE).astype(int)


def _read_origins(rows: pd.DataFrame, path: Path) -> pd.Series:
    """Read where points came from as numbers of `ORIGINS`."""
    if _ORIGIN not in rows:
        return pd.Series(0, rows.index)
    words = rows[_ORIGIN].str.strip().str.lower()
    codes = words.map({name: code for code, name in enumerate(ORIGINS)})
    if codes.isna().any():
        line = codes.index[codes.isna()][0]
        hint = suggest_name(words[line], ORIGINS[1:])
        raise FormatError(f"{path}, line {line + 2}: no origin {words[line]!r}: {hint}")
    return codes


def _read_numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column.replace("", "nan"), errors="coerce")
    wrong = column[numbers.isna() & ~column.str.strip().str.lower().isin(["", "nan"])]
    if len(wrong):
        raise FormatError(
            f"{path}, line {wrong.index[0] + 2}: {column.name} is {wrong.iloc[0]!r}, not a number"
        )
    return numbers


def check_video_names(videos: Iterable[str]) -> None:
    """Refuse names of recordings that cannot be those of folders, or lead elsewhere.

    Raises
    ------
    FormatError
        If there is one.
    """
    for video in sorted(set(videos)):
        if not is_plain_name(video):
            raise FormatError(f"a video called {video!r} cannot have a folder: rename it")


def _check_images(labels: Labels, folder: Path) -> None:
    """Refuse labels whose frames do not lie where the csv will say."""
    faults = []
    check_video_names(labels.videos)
    folders = {v: (folder / v).resolve() for v in set(labels.videos)}
    parents = {p.parent for p in labels.images if p is not None}
    places = {parent: parent.resolve() for parent in parents}
    for video, image in zip(labels.videos, labels.images, strict=True):
        if image is None:
            faults.append(f"a frame of {video} without an image file")
        elif not image.is_file():
            faults.append(f"{image} (no such file)")
        elif places[image.parent] != folders[video]:
            faults.append(f"{image} (not in {folder / video})")
    if faults:
        raise FormatError(_tell(faults, "cannot save labels: frames must lie beside them as files"))
    twice = len(labels) - len(set(zip(labels.videos, labels.images, strict=True)))
    if twice:
        raise FormatError(f"cannot save labels: {twice} images are labelled twice")


def check_exist(images: Sequence[Path], folder: Path) -> None:
    """Refuse labels whose images are gone.

    Raises
    ------
    FormatError
        If some do not exist.
    """
    lost = [str(p.relative_to(folder)) for p in images if not p.is_file()]
    if lost:
        raise FormatError(
            _tell(lost, f"labels in {folder} for images that do not exist")
            + "; put the images back or remove their rows"
        )


def _tell(faults: list[str], what: str, most: int = 5) -> str:
    more = f" and {len(faults) - most} more" if len(faults) > most else ""
    return f"{what}: {', '.join(faults[:most])}{more}"
