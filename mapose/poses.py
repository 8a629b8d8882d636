"""Poses and peaks, the two array types that everything else passes on.

Axes are named by letters throughout the package: F frames, I individuals, K keypoints, E edges,
V views, H and W rows and columns of an image or map. Pixels have x to the right and y down; the
centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mapose.arrays import Bools, Ints, Singles
from mapose.errors import ShapeError, suggest_name
from mapose.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Names = str | Sequence[str]

#: Confidence of a point that was not seen but filled in; above 0, which would mean missing.
FILLED = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class Poses:
    """Poses of several individuals over time, in 2D or 3D.

    Parameters
    ----------
    array : float32, (F, I, K, 3) or (F, I, K, 4)
        x, y[, z], confidence. A missing keypoint has NaN coordinates and confidence 0; whatever
        has a NaN or infinite coordinate on creation is made so. Confidences beyond 0 to 1 become
        0 or 1.
    skeleton : Skeleton
        Names of the K keypoints.
    individuals : sequence of str, optional
        Names of the I individuals; None for slots without order between frames.
    rate : float, optional
        Frames per second.
    unit : str
        Unit of the coordinates, ``"px"`` or a length such as ``"mm"``.
    frames : int64, (F,), optional
        Video frame of each row, ascending; by default 0 to F-1.
    identity : float32, (F, I), optional
        Probability that the individual's name is right; NaN where it is absent.
    covariance : float32, (F, I, K, d, d), optional
        Covariance of the coordinates, unit²; NaN where missing.

    Raises
    ------
    ShapeError
        If shapes, names or numbers do not fit; all faults are listed at once.

    Notes
    -----
    The array is copied and checked once. Poses made of these by `dataclasses.replace` or by `take`
    of a slice share it: copy it before you write into it.

    Examples
    --------
    >>> poses = Poses(np.ones((5, 2, 1, 3)), Skeleton(["snout"]), ["a", "b"], rate=25)
    >>> poses["a", "snout"].shape
    (5, 3)
    >>> print(poses)
    Poses: 5 frames, 2 individuals, 1 keypoint, 2D in px, 25 frames/s, 100 % found
    """

    array: Singles
    skeleton: Skeleton
    individuals: Sequence[str] | None = None
    rate: float | None = None
    unit: str = "px"
    frames: Ints = None  # type: ignore[assignment]
    identity: Singles | None = None
    covariance: Singles | None = None
    #: The array that was checked; with another one, `replace` has to check again.
    _checked: Singles | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        fresh = self._checked is not self.array
        array = np.array(self.array, dtype=np.float32) if fresh else self.array
        if array.ndim != 4 or array.shape[-1] not in (3, 4):
            raise ShapeError(
                "poses: wanted an array (frames, individuals, keypoints, 3 or 4) of x, y[, z], "
                f"confidence; came {array.shape}"
            )
        if fresh:
            _blank_missing(array)
        put = object.__setattr__
        put(self, "array", array)
        put(self, "_checked", array)
        frames = np.arange(len(array)) if self.frames is None else np.asarray(self.frames)
        put(self, "frames", frames.astype(np.int64))
        if self.individuals is not None:
            put(self, "individuals", tuple(str(n).strip() for n in self.individuals))
        for name in ("identity", "covariance"):
            if getattr(self, name) is not None:
                put(self, name, np.asarray(getattr(self, name), np.float32))
        faults = list(self._find_faults())
        if faults:
            raise ShapeError("poses: " + "; ".join(faults))

    def _find_faults(self) -> Iterable[str]:
        f, i, k, c = self.array.shape
        if k != len(self.skeleton.keypoints):
            yield f"the skeleton has {len(self.skeleton.keypoints)} keypoints, the array {k}"
        if self.individuals is not None and len(self.individuals) != i:
            yield f"{len(self.individuals)} names for {i} individuals"
        if self.individuals is not None and len(set(self.individuals)) < len(self.individuals):
            yield f"individuals need different names, came {', '.join(self.individuals)}"
        if self.frames.shape != (f,):
            yield f"frames: wanted shape ({f},), came {self.frames.shape}"
        elif (np.diff(self.frames) <= 0).any():
            yield "frames: numbers must ascend"
        if self.rate is not None and not (np.isfinite(self.rate) and self.rate > 0):
            yield f"rate: wanted frames per second above 0, came {self.rate}"
        if self.identity is not None and self.identity.shape != (f, i):
            yield f"identity: wanted shape {(f, i)}, came {self.identity.shape}"
        wanted = (f, i, k, c - 1, c - 1)
        if self.covariance is not None and self.covariance.shape != wanted:
            yield f"covariance: wanted shape {wanted}, came {self.covariance.shape}"

    @property
    def points(self) -> Singles:
        """Coordinates, float32 (F, I, K, d) in `unit`; NaN = missing."""
        return self.array[..., :-1]

    @property
    def confidence(self) -> Singles:
        """Confidence, float32 (F, I, K), 0 to 1; 0 = missing."""
        return self.array[..., -1]

    @property
    def dimensions(self) -> int:
        """2 for image, 3 for world coordinates."""
        return int(self.array.shape[-1]) - 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the individuals; ``slot0, slot1, ...`` where they have none."""
        if self.individuals is not None:
            return tuple(self.individuals)
        return tuple(f"slot{i}" for i in range(self.array.shape[1]))

    def __len__(self) -> int:
        return len(self.array)

    def __str__(self) -> str:
        found = float((self.confidence > 0).mean()) if self.array.size else 0.0
        return self.describe(len(self), found)

    def describe(self, frames: int, found: float) -> str:
        """Describe a recording of which these are a part: its frames, and the share found."""
        f, (i, k) = frames, self.array.shape[1:3]
        rate = f", {self.rate:g} frames/s" if self.rate else ""
        unit = f"in {self.unit}" if self.unit != "unknown" else "(unit not known)"
        counts = [(f, "frame"), (i, "individual"), (k, "keypoint")]
        sizes = ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts)
        return f"Poses: {sizes}, {self.dimensions}D {unit}{rate}, {100 * found:.0f} % found"

    def __repr__(self) -> str:
        return f"<{self}>"

    def _repr_html_(self) -> str:
        return _make_table(str(self), _describe_rows(self))

    def __getitem__(self, key: str | tuple[str, str]) -> Any:
        """Pick one individual (Poses) or one keypoint of it (float32 (F, xyc) array)."""
        if isinstance(key, tuple):
            individual, keypoint = key
            return self.sel(individual=individual, keypoint=keypoint).array[:, 0, 0]
        return self.sel(individual=key)

    def sel(
        self,
        *,
        individual: Names | None = None,
        keypoint: Names | None = None,
        frames: slice | Sequence[int] | npt.NDArray[np.integer] | None = None,
    ) -> Poses:
        """Pick individuals, keypoints and frames by name and number.

        Parameters
        ----------
        individual, keypoint : str or sequence of str, optional
            Names to keep, in this order; all by default.
        frames : slice or sequence of int, optional
            Video frame numbers to keep. A slice has an exclusive end and steps in frame
            numbers; numbers that are not there are an error in a list and skipped in a slice.

        Returns
        -------
        Poses
            With the same companions. Edges that lost a keypoint are dropped.

        Raises
        ------
        ShapeError
            If a name or frame does not exist; the nearest name is suggested.
        """
        return self.take(
            None if frames is None else self._find_rows(frames),
            individuals=None
            if individual is None
            else _find_names(individual, self.names, "individual"),
            keypoints=None
            if keypoint is None
            else _find_names(keypoint, self.skeleton.keypoints, "keypoint"),
        )

    def take(
        self,
        rows: slice | npt.NDArray[np.integer] | None = None,
        *,
        individuals: npt.NDArray[np.integer] | None = None,
        keypoints: npt.NDArray[np.integer] | None = None,
        frames: Ints | None = None,
    ) -> Poses:
        """Pick frames, individuals and keypoints by where they stand.

        Parameters
        ----------
        rows : slice or int, (F',), optional
            Frames to keep. A slice shares the memory.
        individuals, keypoints : int, (I',) or (K',), optional
            Which to keep, in this order.
        frames : int64, (F',), optional
            Their video frames, which must ascend; by default those that they have.

        Returns
        -------
        Poses
            With the same companions. Edges that lost a keypoint are dropped.
        """
        part = slice(None) if rows is None else rows

        def pick(values: Any, *axes: npt.NDArray[np.integer] | None) -> Any:
            values = values[part]
            for axis, chosen in enumerate(axes, 1):
                values = values if chosen is None else np.take(values, chosen, axis)
            return values

        array = pick(self.array, individuals, keypoints)
        return replace(
            self,
            array=array,
            _checked=array,
            skeleton=self.skeleton if keypoints is None else self.skeleton.take(keypoints),
            individuals=self.individuals
            if individuals is None or self.individuals is None
            else [self.individuals[i] for i in individuals],
            frames=self.frames[part] if frames is None else frames,
            identity=None if self.identity is None else pick(self.identity, individuals),
            covariance=None
            if self.covariance is None
            else pick(self.covariance, individuals, keypoints),
        )

    def arrange(
        self, order: npt.NDArray[np.integer], individuals: Sequence[str] | None = None
    ) -> Poses:
        """Put the individuals of every frame into other rows.

        Parameters
        ----------
        order : int, (F, N)
            Which individual comes into each row of each frame; -1 = nobody.
        individuals : sequence of str, (N,), optional
            Names of the rows.

        Returns
        -------
        Poses
            (F, N, K), with the same companions.

        Raises
        ------
        ShapeError
            If there is not one row of numbers per frame.

        Examples
        --------
        >>> poses = Poses([[[[1, 1, 1]], [[9, 9, 1]]]], Skeleton(["snout"]), ["a", "b"])
        >>> poses.arrange(np.array([[1, -1, 0]])).points[0, :, 0, 0]
        array([ 9., nan,  1.], dtype=float32)
        """
        if order.ndim != 2 or len(order) != len(self):
            raise ShapeError(f"arrange: wanted ({len(self)}, rows), came {order.shape}")
        nobody, frame = order < 0, np.arange(len(self))[:, None]

        def put(values: Singles) -> Singles:
            if not values.shape[1]:  # nobody can come from nowhere
                return np.full((*order.shape, *values.shape[2:]), np.nan, np.float32)
            moved = values[frame, np.where(nobody, 0, order)]
            moved[nobody] = np.nan
            return moved

        array = put(self.array)
        array[nobody, :, -1] = 0
        return replace(
            self,
            array=array,
            _checked=array,
            individuals=individuals,
            identity=None if self.identity is None else put(self.identity),
            covariance=None if self.covariance is None else put(self.covariance),
        )

    def find_present(self) -> Bools:
        """Find when each individual is there, bool (F, I): has at least one keypoint."""
        return np.asarray(np.isfinite(self.points).all(-1).any(-1))

    def _find_rows(self, frames: Any) -> Ints:
        if isinstance(frames, slice):
            last = int(self.frames[-1]) + 1 if len(self) else 0
            wanted = np.arange(*frames.indices(last))
            return np.flatnonzero(np.isin(self.frames, wanted))
        asked = np.atleast_1d(np.asarray(frames, np.int64))
        rows = np.searchsorted(self.frames, asked)
        there = rows < len(self)
        there[there] = self.frames[rows[there]] == asked[there]
        if not there.all():
            raise ShapeError(
                f"frames {asked[~there][:5].tolist()} are not among the {len(self)} frames here"
            )
        return rows

    def to_pandas(self, scorer: str = "mapose") -> pd.DataFrame:
        """Make a table with the column levels that DeepLabCut users know.

        Returns
        -------
        pandas.DataFrame
            One row per frame (the index is the frame number); columns scorer, individuals,
            bodyparts, coords (x, y[, z], likelihood). A single unnamed animal has no level
            individuals. Missing = NaN coordinates and likelihood 0.
        """
        import pandas as pd

        coords = [*"xyz"[: self.dimensions], "likelihood"]
        levels = [[scorer], list(self.names), list(self.skeleton.keypoints), coords]
        labels = ["scorer", "individuals", "bodyparts", "coords"]
        if self.individuals is None and self.array.shape[1] == 1:
            levels.pop(1)
            labels.pop(1)
        columns = pd.MultiIndex.from_product(levels, names=labels)
        return pd.DataFrame(self.array.reshape(len(self), len(columns)), self.frames, columns)

    def to_xarray(self) -> xr.Dataset:
        """Make a dataset as the `movement` package defines it.

        Returns
        -------
        xarray.Dataset
            ``position`` (time, space, keypoint, individual) and ``confidence`` (time, keypoint,
            individual); time in seconds if the rate is known, else in frames. `identity`, where
            known, is a further variable (time, individual). Where a movement before 0.17 is
            installed, the last two axes are called ``keypoints`` and ``individuals``, as it
            does.
        """
        import xarray as xr

        time = self.frames / self.rate if self.rate else self.frames
        what, who = _find_movement_axes()
        data: dict[str, Any] = {
            "position": (("time", "space", what, who), self.points.transpose(0, 3, 2, 1)),
            "confidence": (("time", what, who), self.confidence.swapaxes(1, 2)),
        }
        if self.identity is not None:
            data["identity"] = (("time", who), self.identity)
        coords = {
            "time": time,
            "space": ["x", "y", "z"][: self.dimensions],
            what: list(self.skeleton.keypoints),
            who: list(self.names),
        }
        attrs: dict[str, Any] = {"source_software": "mapose", "ds_type": "poses"}
        attrs["time_unit"] = "seconds" if self.rate else "frames"
        if self.rate:
            attrs["fps"] = self.rate
        return xr.Dataset(data, coords, attrs)


@dataclass(frozen=True, eq=False, repr=False)
class Peaks:
    """Keypoint candidates of a run of frames, and how well pairs of them hang together.

    Ragged over frames: one row per peak, sorted by frame.

    Parameters
    ----------
    frame : int64, (N,)
        Row of the frame within this run, 0 to ``n_frames`` - 1, ascending.
    keypoint : int64, (N,)
        Channel of the skeleton.
    xy : float32, (N, 2)
        Position in image pixels.
    score : float32, (N,)
        0 to 1.
    covariance : float32, (N, 2, 2)
        Of the position, px².
    pairs : int64, (M, 2)
        Candidate links: rows of two peaks of the same frame, in the order of the edge's ends.
    edge : int64, (M,)
        Edge of the skeleton that each candidate would be.
    affinity : float32, (M,)
        Mean of the affinity field along the pair, -1 to 1.
    n_frames : int
        Frames in this run, with or without peaks.
    marks : float32, (N, A), optional
        Log-probability that it is of each of A animals known by name.

    Raises
    ------
    ShapeError
        If the lengths do not fit.
    """

    frame: Ints
    keypoint: Ints
    xy: Singles
    score: Singles
    covariance: Singles
    pairs: Ints
    edge: Ints
    affinity: Singles
    n_frames: int
    marks: Singles | None = None

    def __post_init__(self) -> None:
        n, m = len(self.frame), len(self.edge)
        wanted = {
            "keypoint": (n,),
            "xy": (n, 2),
            "score": (n,),
            "covariance": (n, 2, 2),
            "pairs": (m, 2),
            "affinity": (m,),
        }
        faults = [
            f"{name}: wanted shape {shape}, came {getattr(self, name).shape}"
            for name, shape in wanted.items()
            if getattr(self, name).shape != shape
        ]
        if n and (self.frame[-1] >= self.n_frames or (np.diff(self.frame) < 0).any()):
            faults.append(f"frame: must ascend and stay below {self.n_frames}")
        if faults:
            raise ShapeError("peaks: " + "; ".join(faults))

    def __len__(self) -> int:
        return len(self.frame)

    def __str__(self) -> str:
        return f"Peaks: {len(self)} in {self.n_frames} frames, {len(self.edge)} candidate links"

    def __repr__(self) -> str:
        return f"<{self}>"

    def take(self, frames: npt.NDArray[np.integer]) -> Peaks:
        """Pick frames, numbers 0 to ``n_frames`` - 1 that ascend; they are numbered anew."""
        place = np.full(self.n_frames, -1)
        place[frames] = np.arange(len(frames))
        some = self.pick(place[self.frame] >= 0)
        return replace(some, frame=place[some.frame], n_frames=len(frames))

    def pick(self, kept: Bools) -> Peaks:
        """Keep some peaks, bool (N,), and the links between them; frames stay as they are."""
        row = np.cumsum(kept) - 1
        linked = kept[self.pairs].all(1)
        return Peaks(
            frame=self.frame[kept],
            keypoint=self.keypoint[kept],
            xy=self.xy[kept],
            score=self.score[kept],
            covariance=self.covariance[kept],
            pairs=row[self.pairs[linked]],
            edge=self.edge[linked],
            affinity=self.affinity[linked],
            n_frames=self.n_frames,
            marks=None if self.marks is None else self.marks[kept],
        )

    def take_edges(self, edges: Sequence[int]) -> Peaks:
        """Keep the candidate links of some edges, which are numbered anew in this order."""
        number = np.full(max([*edges, *self.edge.tolist()], default=-1) + 1, -1)
        number[list(edges)] = np.arange(len(edges))
        kept = number[self.edge] >= 0
        return replace(
            self,
            pairs=self.pairs[kept],
            edge=number[self.edge[kept]],
            affinity=self.affinity[kept],
        )


def join_poses(parts: Sequence[Poses]) -> Poses:
    """Put runs of poses of the same individuals one after the other.

    Raises
    ------
    ShapeError
        If there is nothing to join, or frames do not ascend.
    """
    if not parts:
        raise ShapeError("poses: nothing to join, wanted at least one run")
    first = parts[0]
    if len(parts) == 1:
        return first
    array = np.concatenate([p.array for p in parts])
    companions: dict[str, Any] = {
        name: None
        if getattr(first, name) is None
        else np.concatenate([getattr(p, name) for p in parts])
        for name in ("frames", "identity", "covariance")
    }
    return replace(first, array=array, _checked=array, **companions)


def join_peaks(parts: Sequence[Peaks]) -> Peaks:
    """Put runs of peaks one after the other; frames and rows are counted on.

    Raises
    ------
    ShapeError
        If there is nothing to join.
    """
    if not parts:
        raise ShapeError("peaks: nothing to join, wanted at least one run")
    rows = np.cumsum([0] + [len(p) for p in parts])
    starts = np.cumsum([0] + [p.n_frames for p in parts])
    marked = [p.marks for p in parts if p.marks is not None]  # runs without peaks have none
    return Peaks(
        frame=np.concatenate([p.frame + s for p, s in zip(parts, starts, strict=False)]),
        keypoint=np.concatenate([p.keypoint for p in parts]),
        xy=np.concatenate([p.xy for p in parts]),
        score=np.concatenate([p.score for p in parts]),
        covariance=np.concatenate([p.covariance for p in parts]),
        pairs=np.concatenate([p.pairs + r for p, r in zip(parts, rows, strict=False)]),
        edge=np.concatenate([p.edge for p in parts]),
        affinity=np.concatenate([p.affinity for p in parts]),
        n_frames=int(starts[-1]),
        marks=np.concatenate(marked) if marked else None,
    )


def _describe_rows(poses: Poses) -> list[tuple[str, str, str]]:
    """List the individuals: name, how often it is there, how sure the name is."""
    there = poses.find_present()
    rows = [("individual", "frames", "name right")]
    for i, name in enumerate(poses.names):
        sure = [] if poses.identity is None else poses.identity[there[:, i], i]
        known = f"{100 * float(np.nanmean(sure)):.1f} %" if len(sure) else ""
        rows.append((name, str(int(there[:, i].sum())), known))
    return rows


def _make_table(title: str, rows: Iterable[Sequence[str]]) -> str:
    """Make HTML for a notebook."""
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<p>{escape(title)}</p><table>{body}</table>"


def _find_movement_axes() -> tuple[str, str]:
    """Find what the installed movement calls keypoints and individuals: the plural until 0.16."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        major, minor = version("movement").split(".")[:2]
        old = (int(major), int(minor)) < (0, 17)
    except (PackageNotFoundError, ValueError):
        old = False
    return ("keypoints", "individuals") if old else ("keypoint", "individual")


def _blank_missing(array: Singles) -> None:
    """Make every keypoint with an unusable number NaN with confidence 0 to 1, in place."""
    missing = ~np.isfinite(array[..., :-1]).all(-1)
    array[missing, :-1] = np.nan
    array[missing, -1] = 0
    confidence = array[..., -1]
    confidence[np.isnan(confidence)] = 0
    np.clip(confidence, 0, 1, out=confidence)


def _find_names(asked: Names, known: Sequence[str], what: str) -> Ints:
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in known:
            raise ShapeError(f"no {what} {name!r} here: {suggest_name(name, known)}")
    return np.array([known.index(name) for name in names], np.int64)
