"""Frames that wait to be labelled: plain text beside the labels, and never read as labels.

``labels/<video>/proposals.csv`` has one row per individual and keypoint, as ``labels.csv``:
``image,frame,individual,keypoint,x,y,visible,origin,confidence,reason``. An empty ``visible`` means
that nobody has looked yet; ``origin`` is ``model`` for what a network proposes and empty else.
Whoever corrects it by hand writes ``person`` there, or leaves it empty.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mapose.arrays import Bools, Singles
from mapose.errors import FormatError, suggest_name
from mapose.files import write_atomically
from mapose.io.instances import check_room
from mapose.labels import Labels
from mapose.reading import explain_damage, is_plain_name
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)

FILE = "proposals.csv"
# A whole number that a float holds exactly.
_MOST_FRAMES = 2**53
_KEYS = ("image", "frame", "individual", "keypoint")
COLUMNS = (*_KEYS, "x", "y", "visible", "origin", "confidence", "reason")


@dataclass(frozen=True, eq=False)
class Proposals:
    """Frames that wait to be labelled, and what a model proposes in them.

    Parameters
    ----------
    labels : Labels
        The frames, with the points as they stand now; NaN = not marked.
    looked : bool, (F,)
        Whether anything is said of the frame: False where all is still to be labelled.
    origins : str, (F, I, K)
        ``model``, ``person`` or nothing.
    confidence : float32, (F, I, K)
        Of a model, 0 to 1; NaN elsewhere.
    reasons : tuple of str, (F,)
        Why the frame was chosen.
    """

    labels: Labels
    looked: Bools
    origins: npt.NDArray[np.str_]
    confidence: Singles
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.ArrayLike) -> Proposals:
        """Pick frames by row."""
        wanted = np.asarray(rows)
        index = np.arange(len(self))[wanted if wanted.size else wanted.astype(np.int64)]
        return Proposals(
            self.labels.take(index),
            self.looked[index],
            self.origins[index],
            self.confidence[index],
            tuple(self.reasons[i] for i in index),
        )


def save_proposals(proposals: Proposals, folder: str | Path) -> list[Path]:
    """Write proposals as one csv per video, beside the frames that are there already.

    Parameters
    ----------
    proposals : Proposals
        Every image must lie in ``folder/<video>``.
    folder : Path
        The folder ``labels`` of a project. The file of a video that comes is replaced, and removed
        where there is nothing left of it; other videos stay as they are: see `clear_proposals`.

    Returns
    -------
    list of Path
        The files written.
    """
    videos, paths = np.array(proposals.labels.videos), []
    for video in sorted(set(proposals.labels.videos)):
        path = Path(folder) / video / FILE
        table = _make_table(proposals.take(np.flatnonzero(videos == video)))
        with write_atomically(path, error=FormatError) as partial:
            table.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")
        paths.append(path)
    return paths


def load_proposals(
    folder: str | Path, skeleton: Skeleton, *, individuals: tuple[str, ...] = ()
) -> Proposals:
    """Read what waits to be labelled in a project; without frames whose images are gone.

    Parameters
    ----------
    folder : Path
        The folder ``labels`` of a project.
    skeleton : Skeleton
        Of the project.
    individuals : tuple of str
        Names that come first, in this order; those that are in the files only come after them.

    Raises
    ------
    FormatError
        If a file cannot be read, or a name or number is none.
    """
    tables = []
    for file in sorted(Path(folder).glob(f"*/{FILE}")):
        with explain_damage(file):
            tables.append(_read_table(file, skeleton))
    empty = pd.DataFrame(columns=[*COLUMNS, "video"])
    return _make_proposals(
        pd.concat(tables) if tables else empty, Path(folder), skeleton, individuals
    )


def rename_waiting(folder: str | Path, old: str, new: str) -> None:
    """Call a keypoint otherwise in all that waits to be labelled.

    Parameters
    ----------
    folder : Path
        The folder ``labels`` of a project.
    old, new : str
        Its names.
    """
    for path in sorted(Path(folder).glob(f"*/{FILE}")):
        with explain_damage(path):
            rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        if "keypoint" in rows and old in set(rows.keypoint):
            rows["keypoint"] = rows.keypoint.replace(old, new)
            with write_atomically(path, error=FormatError) as partial:
                rows.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


def join_proposals(first: Proposals, second: Proposals) -> Proposals:
    """Put proposals together; those of the second for a frame that the first has are left out."""
    names = dict.fromkeys((*first.labels.individuals, *second.labels.individuals))
    first, second = _widen(first, tuple(names)), _widen(second, tuple(names))
    here = set(name_images(first.labels))
    second = second.take([i for i, n in enumerate(name_images(second.labels)) if n not in here])
    a, b = first.labels, second.labels
    labels = Labels(
        np.concatenate([a.points, b.points]),
        a.skeleton,
        a.videos + b.videos,
        np.concatenate([a.frames, b.frames]),
        a.images + b.images,
        a.individuals,
        a.identified,
    )
    return Proposals(
        labels,
        np.concatenate([first.looked, second.looked]),
        np.concatenate([first.origins, second.origins]),
        np.concatenate([first.confidence, second.confidence]),
        first.reasons + second.reasons,
    )


def name_images(labels: Labels) -> list[tuple[str, str]]:
    """Name the frames of a project by video and image."""
    return [(v, p.name if p else "") for v, p in zip(labels.videos, labels.images, strict=True)]


def _widen(proposals: Proposals, names: tuple[str, ...]) -> Proposals:
    """Bring the individuals into the order of names; those that are missing are empty."""
    labels = proposals.labels
    columns = [names.index(name) for name in labels.individuals]
    shape = (len(labels), len(names), len(labels.skeleton.keypoints))
    points = np.full((*shape, 2), np.nan, np.float32)
    origins = np.full(shape, "", proposals.origins.dtype)
    confidence = np.full(shape, np.nan, np.float32)
    points[:, columns] = labels.points
    origins[:, columns] = proposals.origins
    confidence[:, columns] = proposals.confidence
    widened = Labels(
        points, labels.skeleton, labels.videos, labels.frames, labels.images, names, len(names) == 1
    )
    return Proposals(widened, proposals.looked, origins, confidence, proposals.reasons)


def _make_table(proposals: Proposals) -> pd.DataFrame:
    """Lay out one video's frames, one row per individual and keypoint, sorted by frame."""
    names = name_images(proposals.labels)
    order = sorted(range(len(names)), key=lambda r: (proposals.labels.frames[r], names[r]))
    proposals = proposals.take(order)
    labels = proposals.labels
    f, i, k, _ = labels.points.shape
    marked = np.asarray(np.isfinite(labels.points).all(-1))
    visible = np.where(marked, "1", np.where(proposals.looked[:, None, None], "0", ""))
    places = np.where(marked[..., None], np.char.mod("%.3f", labels.points), "")
    sure = np.isfinite(proposals.confidence)
    return pd.DataFrame(
        {
            "image": np.repeat([name for _, name in name_images(labels)], i * k),
            "frame": np.repeat(np.where(labels.frames < 0, "", labels.frames.astype(str)), i * k),
            "individual": np.tile(np.repeat(labels.individuals, k), f),
            "keypoint": np.tile(labels.skeleton.keypoints, f * i),
            "x": places[..., 0].ravel(),
            "y": places[..., 1].ravel(),
            "visible": visible.ravel(),
            "origin": proposals.origins.ravel(),
            "confidence": np.where(sure, np.char.mod("%.3f", proposals.confidence), "").ravel(),
            "reason": np.repeat(proposals.reasons, i * k),
        },
        columns=COLUMNS,
    )


def _read_table(path: Path, skeleton: Skeleton) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise FormatError(f"{path} cannot be read as a table: {error}") from error
    missing = [c for c in (*_KEYS, "x", "y", "visible") if c not in rows]
    if missing:
        raise FormatError(f"{path}: wanted the columns {', '.join(COLUMNS)}; missing {missing}")
    for name in ("origin", "confidence", "reason"):
        rows[name] = rows.get(name, "")
    for image in rows.image.unique():
        if not is_plain_name(image):
            raise FormatError(f"{path}: wanted the names of images beside it, came {image!r}")
    # What was dropped while its image went, or whose image a person removed, no longer waits.
    there = {image for image in rows.image.unique() if (path.parent / image).is_file()}
    rows = rows[rows.image.isin(there)].copy()
    unknown = [name for name in dict.fromkeys(rows.keypoint) if name not in skeleton.keypoints]
    if unknown:  # removed from the project since
        hint = suggest_name(unknown[0], skeleton.keypoints)
        log.warning(
            "%s: left out, as the project has no keypoint %s: %s", path, ", ".join(unknown), hint
        )
        rows = rows[~rows.keypoint.isin(unknown)].copy()
    double = rows[rows.duplicated(["image", "individual", "keypoint"])]
    if len(double):
        raise FormatError(f"{path}: {double.iloc[0].image} has rows that come twice; remove one")
    for name in ("frame", "x", "y", "confidence"):
        numbers = pd.to_numeric(rows[name].replace("", "nan"), errors="coerce")
        wrong = rows[name][numbers.isna() & ~rows[name].str.lower().isin(["", "nan"])]
        if len(wrong):
            raise FormatError(
                f"{path}, line {wrong.index[0] + 2}: {name} is {wrong.iloc[0]!r}, not a number"
            )
        rows[name] = numbers
    number = rows.frame.fillna(-1)
    if (number % 1 != 0).any() or number.abs().max() > _MOST_FRAMES:
        raise FormatError(f"{path}: wanted whole frame numbers of at most {_MOST_FRAMES}")
    return rows.assign(video=path.parent.name)


def _make_proposals(
    rows: pd.DataFrame, folder: Path, skeleton: Skeleton, individuals: tuple[str, ...]
) -> Proposals:
    frames = rows.drop_duplicates(["video", "image"])
    images = pd.MultiIndex.from_frame(frames[["video", "image"]])
    row = images.get_indexer(pd.MultiIndex.from_frame(rows[["video", "image"]]))
    names = tuple(dict.fromkeys((*individuals, *rows.individual)))
    shape = (len(frames), len(names), len(skeleton.keypoints))
    check_room((*shape, 2), 2 * len(rows), what=folder)
    place = (
        row,
        [names.index(name) for name in rows.individual],
        [skeleton.index(name) for name in rows.keypoint],
    )
    points = np.full((*shape, 2), np.nan, np.float32)
    origins, confidence = np.full(shape, "", "<U13"), np.full(shape, np.nan, np.float32)
    said = (rows.visible.str.strip() != "").to_numpy(bool)
    xy = rows[["x", "y"]].to_numpy(np.float32, copy=True)
    xy[rows.visible.str.strip().isin(["0", "0.0", "absent"])] = np.nan
    points[place], origins[place] = xy, rows.origin.to_numpy(str)
    confidence[place] = rows.confidence.to_numpy(np.float32)
    looked = np.zeros(len(frames), bool)
    np.logical_or.at(looked, row, said | np.isfinite(xy).all(1))
    labels = Labels(
        points,
        skeleton,
        tuple(frames.video),
        frames.frame.fillna(-1).to_numpy(np.float64).astype(np.int64),
        tuple(folder / v / i for v, i in zip(frames.video, frames.image, strict=True)),
        names,
        len(names) == 1,
    )
    return Proposals(labels, looked, origins, confidence, tuple(frames.reason))
