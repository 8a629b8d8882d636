"""The same names in every view: identity over cameras and time, solved together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment

from calibration import Camera, CameraGroup, split_station
from mapose.arrays import Bools, Floats, Ints, Singles
from mapose.errors import SettingsError, ShapeError
from mapose.landmarks import join_landmarks, part_landmarks
from mapose.multiview.matching.following import MAX_GAP, Follower, Run, join_runs
from mapose.multiview.matching.individuals import find_individuals
from mapose.multiview.matching.joining import cut_labels
from mapose.multiview.matching.mirror import exchange
from mapose.multiview.matching.observations import (
    measure_observations,
    stack_detections,
    take_detections,
)
from mapose.multiview.matching.tracklets2d import Tracks2D, find_tracklets2d
from mapose.multiview.stations import join_views, split_parts
from mapose.multiview.views import align_parts, check_views
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.shelf import Readable, Rows, Shelf, cut_blocks
from mapose.similarity import find_lengths

log = logging.getLogger(__name__)

#: Frames by which the usual length of a body is found.
_MEASURED = 50_000
#: Length of an animal without one, with a single keypoint: a share of the distance between
#: neighbours, or of the picture's diagonal if there is one animal only.
_SPACING, _PICTURE = 0.25, 0.05


def match_views(
    views: Mapping[str, Poses],
    cameras: CameraGroup,
    *,
    individuals: int | Sequence[str] | None = None,
    max_gap: int = MAX_GAP,
    min_frames: int = 10,
    mirror: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Poses]:
    """Name individuals alike in all views and through time.

    Animals are followed in space: each one is expected in every view, takes the detection that
    fits best there, and moves to where its cameras agree that it is. What no animal takes is
    matched across the views and makes new ones. The 2D tracks' own names count as evidence
    through time only, so that a swap inside one camera's tracking is undone by the others.
    Tracklets are joined over the whole recording in the end. What one camera alone sees
    keeps its 2D track, and gets the name of the animal that a second camera sees there earlier
    or later.

    Parameters
    ----------
    views : mapping of str to Poses
        2D poses by camera, px; what a view does not list was not seen there. Individuals may be
        tracks, whose names need not agree between the views, or slots without order between frames
        (``individuals=None``); their numbers may differ.
    cameras : calibration.CameraGroup
        Calibrated; may hold more cameras than there are views, and stations of a camera that was
        moved (``side@1200``).
    individuals : int or sequence of str, optional
        Number or names of the animals. The result has exactly these, and whoever is seen less
        is left out. By default there are as many as are found, those included that one camera
        alone sees: they have a 2D track. Of three cameras or more, whoever two or more see, but
        never many more than half as many as see the best-seen one, and who stands where most of
        the others do not look, is a bystander and left out; a warning says so.
    max_gap : int
        Frames out of sight after which an animal is found again by looking at the whole
        recording instead of frame by frame.
    min_frames : int
        Frames from about which something is an animal rather than a false alarm.
    mirror : bool
        Whether to exchange left and right keypoints (``Skeleton.mirror``) where one camera
        sees them the other way round than all together.
    on_progress : callable, optional
        Called with the number of frames done and of all frames.

    Returns
    -------
    dict of str to Poses
        The same detections in rows of the same individuals, in the same order in every view;
        NaN where one is not seen. `identity` is the probability that the name is right, NaN
        where there is nothing. It counts from where the animal was longest out of doubt: the
        probability that this camera's detection is not another animal's, times the one that
        the animal has not been exchanged for another one since then. Names are the given ones,
        else those of the views if they have the same, each to the animal that bore it most,
        else ``track0, track1, ...`` in order of appearance.

    Raises
    ------
    ShapeError
        If views do not fit each other or the cameras; all faults are listed at once.
    SettingsError
        If a number or name is not usable.

    References
    ----------
    Dong et al. 2019 and Chen et al. 2020 (both CVPR) on matching people across views and
    on following them in space.

    Examples
    --------
    >>> from mapose.synthetic import make_scene
    >>> scene = make_scene(2, 50, cameras=3)
    >>> views = {name: scene.truth(name) for name in scene.cameras.names}
    >>> top = views["top"]
    >>> views["top"] = replace(top, array=top.array[:, ::-1])
    >>> matched = match_views(views, scene.cameras)
    >>> bool(np.array_equal(matched["top"].array, top.array, equal_nan=True))
    True
    """
    found = match_parts(
        {name: Parts.of(view) for name, view in views.items()},
        cameras,
        options=MatchOptions(individuals, max_gap, min_frames, mirror),
        shelf=Shelf(),
        on_progress=on_progress,
    )
    return {name: parts.join()[0] for name, parts in found.items()}


@dataclass(frozen=True)
class MatchOptions:
    """How to name individuals alike; see `match_views`.

    Raises
    ------
    SettingsError
        If a number or name is not usable.
    """

    individuals: int | Sequence[str] | None = None
    max_gap: int = MAX_GAP
    min_frames: int = 10
    mirror: bool = True

    def __post_init__(self) -> None:
        faults, who = [], self.individuals
        if isinstance(who, str) or (isinstance(who, int) and who < 1):
            faults.append(f"individuals: wanted a number from 1 or a list of names, came {who!r}")
        elif who is not None and not isinstance(who, int):
            names = list(who)
            if not names or len(set(names)) < len(names):
                told = ", ".join(names) or "none"
                faults.append(f"individuals: wanted different names, came {told}")
        if self.max_gap < 1:
            faults.append(f"max_gap: wanted 1 frame or more, came {self.max_gap}")
        if self.min_frames < 1:
            faults.append(f"min_frames: wanted 1 or more, came {self.min_frames}")
        if faults:
            raise SettingsError("; ".join(faults))

    @property
    def count(self) -> int | None:
        """Number of the animals, if known."""
        who = self.individuals
        return who if who is None or isinstance(who, int) else len(who)


def match_parts(
    views: Mapping[str, Parts],
    cameras: CameraGroup,
    *,
    options: MatchOptions,
    shelf: Shelf,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Parts]:
    """Name individuals alike, as `match_views` does, in views that are read a part at a time.

    Whose each detection is lies on the shelf, which has to be there as long as the views that come
    out: those given, named part by part.
    """
    check_views(views, cameras)
    views = align_parts(split_parts(views, cameras))
    keypoints = next(iter(views.values())).skeleton.keypoints
    poses = [view.map(partial(_take_animals, keypoints=keypoints)) for view in views.values()]
    if not len(poses[0]):
        raise ShapeError("views: wanted at least one frame, came none")
    lenses = [cameras[name] for name in views]
    pairs = poses[0].skeleton.mirror_index if options.mirror else np.empty((0, 2), np.int64)
    tracks, run, length = _follow(
        poses, lenses, max_gap=options.max_gap, pairs=pairs, shelf=shelf, on_progress=on_progress
    )
    assigned, identity = find_individuals(
        run,
        tracks,
        cameras=lenses,
        individuals=options.count,
        min_frames=options.min_frames,
        length=length,
        shelf=shelf,
    )
    names, place = choose_names([p.individuals for p in poses], assigned, options.individuals)
    log.info("%d individuals in %d views; %s", len(names), len(views), _describe(run, tracks))
    owners = _Owners(assigned, identity, run.mirrored, pairs, names, place)
    found: dict[str, dict[str, Callable[[slice], Poses]]] = {}
    for v, (title, view) in enumerate(views.items()):
        name = split_station(title, cameras)[0]
        found.setdefault(name, {})[title] = partial(owners.read, view, v=v, keypoints=keypoints)
    return {
        name: Parts(partial(_read_joined, stations, name=name, cameras=cameras), poses[0].frames)
        for name, stations in found.items()
    }


def _take_animals(view: Poses, *, keypoints: tuple[str, ...]) -> Poses:
    """Give the animals of a view without landmarks, with keypoints in this order."""
    animals, _ = part_landmarks(view)
    if animals.skeleton.keypoints == keypoints:
        return animals
    return animals.sel(keypoint=keypoints)


def _read_joined(
    stations: Mapping[str, Callable[[slice], Poses]],
    rows: slice,
    *,
    name: str,
    cameras: CameraGroup,
) -> Poses:
    """Read some rows of a camera from the views of its stations."""
    return join_views({title: read(rows) for title, read in stations.items()}, cameras)[name]


@dataclass(frozen=True, eq=False)
class _Owners:
    """Whose each detection is.

    Attributes
    ----------
    assigned, identity : (F, V, S)
        As of `find_individuals`.
    mirrored : bool, (F, V, S, M)
        As of `Run`.
    pairs : int64, (M, 2)
        Left and right keypoints.
    names, place
        As of `choose_names`.
    """

    assigned: Readable
    identity: Readable
    mirrored: Readable
    pairs: Ints
    names: Sequence[str]
    place: Ints

    def read(self, view: Parts, rows: slice, *, v: int, keypoints: tuple[str, ...]) -> Poses:
        """Read some rows of a view, each detection in the row of its individual."""
        given = view.read(rows)
        animals = _take_animals(given, keypoints=keypoints)
        repaired = _repair_mirrored(animals, self.mirrored[rows][:, v], self.pairs)
        assigned, identity = self.assigned[rows][:, v], self.identity[rows][:, v]
        named = _arrange(repaired, assigned, identity, place=self.place, names=self.names)
        return join_landmarks(named, part_landmarks(given)[1])


def _describe(run: Run, tracks: Tracks2D) -> str:
    """Say what was put right."""
    there = mirrored = 0
    for rows in cut_labels(run.tracks):
        there += int((tracks.tracklets[rows] >= 0).sum())
        mirrored += int(run.mirrored[rows].sum())
    return f"{mirrored} of {there * run.mirrored[:1].shape[-1]} left/right pairs exchanged"


def _follow(
    poses: Sequence[Parts],
    lenses: Sequence[Camera],
    *,
    max_gap: int,
    pairs: Ints,
    shelf: Shelf,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[Tracks2D, Run, float]:
    """Follow all animals through the recording; also gives the length of a body."""
    frames, views = poses[0].frames, len(poses)
    slots, keypoints = max(len(p.names) for p in poses), len(poses[0].skeleton.keypoints)
    cut = list(cut_blocks(len(frames), 18 * views * slots * keypoints))
    size = np.array([_find_size(p, lens) for p, lens in zip(poses, lenses, strict=True)])
    tracklets2d = shelf.make(len(frames), (views, slots), np.int32)
    count = _number_tracklets2d(tracklets2d, poses, cut, size)
    places = shelf.make(len(frames), (views, slots, 2), np.float32)
    follower = Follower(keypoints, size, tracklets2d=count, max_gap=max_gap, pairs=pairs)

    def follow() -> Iterator[Run]:
        for rows in cut:
            stacked = stack_detections([p.read(rows) for p in poses])
            places[rows] = _find_places(stacked, size)
            observations = measure_observations(stacked, lenses)
            yield follower.follow(observations, tracklets2d[rows], frames=frames[rows])
            if on_progress is not None:
                on_progress(rows.stop, len(frames))

    run = join_runs(follow(), len(frames), shelf)
    named = np.array([p.individuals is not None for p in poses])
    tracks = Tracks2D(frames, tracklets2d, count, places, named)
    return tracks, run, follower.scales.length or 1.0


def _number_tracklets2d(
    tracklets2d: Rows, poses: Sequence[Parts], cut: Sequence[slice], size: Floats
) -> int:
    """Write the 2D tracklets of all views, and give one more than the highest number."""
    frames, count = poses[0].frames, 0

    def read_points(parts: Parts) -> Iterator[Singles]:
        return (take_detections(parts.read(rows))[..., :2] for rows in cut)

    found = [
        find_tracklets2d(read_points(p), frames, named=p.individuals is not None, size=size[v])
        for v, p in enumerate(poses)
    ]
    for rows, *views in zip(cut, *found, strict=True):
        block = np.full(tracklets2d[rows].shape, -1, np.int32)
        for v, own in enumerate(views):
            # The views take turns, so that no two use the same number.
            block[:, v, : own.shape[1]] = np.where(own >= 0, own * len(poses) + v, -1)
        tracklets2d[rows] = block
        count = max(count, int(block.max(initial=-1)) + 1)
    return count


def _find_places(stacked: Singles, size: Floats) -> Singles:
    """Find the middle of each detection (F, V, S, K, 3) in lengths (V,) of a body, (F, V, S, 2)."""
    points = stacked[..., :2]
    seen = np.isfinite(points)
    total = np.where(seen, points, 0).sum(-2)
    count = seen.sum(-2)
    middle = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.asarray(middle / size[:, None, None], np.float32)


def _find_size(parts: Parts, camera: Camera) -> float:
    """Find the usual length of the detections of a view, px; of long recordings by some of them."""
    step = -(-len(parts) // _MEASURED)
    lengths, places = [np.empty(0)], []
    for rows in parts.cut():
        detections = take_detections(parts.read(rows))[-rows.start % step :: step, ..., :2]
        each = find_lengths(detections)
        lengths.append(each[each > 0])
        places.append(detections[:, :, 0])
    known = np.concatenate(lengths)
    if len(known):
        return float(np.median(known))
    at = np.concatenate(places).astype(np.float64)
    gaps = np.linalg.norm(at[:, :, None] - at[:, None], axis=-1)
    gaps = gaps[gaps > 0]
    return float(_SPACING * np.median(gaps) if len(gaps) else _PICTURE * np.hypot(*camera.size))


def _arrange(
    poses: Poses, assigned: Ints, identity: Singles, *, place: Ints, names: Sequence[str]
) -> Poses:
    """Put each detection of a view into the row of its individual."""
    frame, slot = np.nonzero(assigned >= 0)
    row = place[assigned[frame, slot]]
    order = np.full((len(poses), len(names)), -1)
    order[frame, row] = slot
    sure = identity[:, : poses.array.shape[1]]
    return replace(poses, identity=sure).arrange(order, names)


def _repair_mirrored(poses: Poses, mirrored: Bools, pairs: Ints) -> Poses:
    """Exchange left and right keypoints (F, S, M) where a view contradicts the others."""
    mirrored = mirrored[:, : poses.array.shape[1]]
    if not mirrored.any():
        return poses
    array, covariance = poses.array.copy(), poses.covariance
    exchange(array, mirrored, pairs)
    if covariance is not None:
        covariance = covariance.copy()
        exchange(covariance, mirrored, pairs)
    return replace(poses, array=array, covariance=covariance)


def choose_names(
    rows: Sequence[Sequence[str] | None],
    assigned: Readable,
    individuals: int | Sequence[str] | None,
) -> tuple[list[str], Ints]:
    """Choose the names of individuals, and the order in which they stand.

    Parameters
    ----------
    rows : sequence of V sequences of str or None
        Names that the slots of each view had; None for slots without names.
    assigned : int64, (F, V, S)
        Individual of each detection; -1 = nobody.
    individuals : int or sequence of str, optional
        Number or names of the individuals, by default as many as there are.

    Returns
    -------
    names : list of str
        Given ones; else those of the views, if these agree (see `_join_names`), each to the one
        that bore it most; whoever bore none is called ``track2``, by its place. Else ``track0,
        track1, ...`` by first appearance.
    place : int64, (N,)
        Number of each individual's name: of the one its detections bore most often.

    Examples
    --------
    >>> assigned = np.array([[[0, 1], [1, 0]]])
    >>> choose_names([["a", "b"], ["b", "a"]], assigned, None)
    (['a', 'b'], array([0, 1]))
    """
    found = 1 + max(int(assigned[part].max(initial=-1)) for part in cut_labels(assigned))
    if individuals is not None and not isinstance(individuals, int):
        names = [str(name) for name in individuals]
        count = len(names)
    else:
        count = found if individuals is None else individuals
        names = _join_names([list(names) for names in rows if names is not None], count)
        if not names:
            return [f"track{i}" for i in range(count)], _rank_by_appearance(assigned, found)
        names = _add_names(names, count)
    votes = np.zeros((found, len(names)), np.int64)
    for part in cut_labels(assigned):
        block = assigned[part]
        for v, mine in enumerate(rows):
            for slot, name in enumerate(mine or ()):
                if name in names:
                    who = block[:, v, slot]
                    votes[:, names.index(name)] += np.bincount(who[who >= 0], minlength=found)
    # Who bore no name stands in order of appearance: a trace that decides nothing else.
    order = np.abs(_rank_by_appearance(assigned, found)[:, None] - np.arange(len(names)))
    place = np.empty(found, np.int64)
    who, number = linear_sum_assignment(votes - order / (1 + order.sum()), maximize=True)
    place[who] = number
    # Some animal that has a name may not have been found.
    others = np.setdiff1d(np.arange(len(names)), place)
    kept = np.sort(np.concatenate([place, others[: count - found]]))
    return [names[n] for n in kept], np.searchsorted(kept, place)


def _join_names(rows: list[list[str]], count: int) -> list[str]:
    """Join the names that views have for the same animals; empty if they do not agree.

    They agree if all are the same, or each view has some of those of the others: a camera may
    not see every animal. More names than animals are believed only if one view has all of them.
    """
    most = max(rows, key=len, default=[])
    names = list(dict.fromkeys([*most, *(name for names in rows for name in names)]))
    for i, own in enumerate(rows):
        others = {name for j, names in enumerate(rows) if j != i for name in names}
        if len(rows) > 1 and own and not set(own) & others:
            return []
    return names if len(names) <= max(count, len(most)) else []


def _add_names(names: list[str], count: int) -> list[str]:
    """Name those that no view has a name for: ``track2`` and so on."""
    free = (f"track{i}" for i in range(count + 2 * len(names)))
    names = list(names)
    for i in range(len(names), count):
        own = f"track{i}"
        names.append(own if own not in names else next(n for n in free if n not in names))
    return names


def _rank_by_appearance(assigned: Readable, found: int) -> Ints:
    first = np.full(found, len(assigned))
    for rows in cut_labels(assigned):
        block = assigned[rows]
        frame, view, slot = np.nonzero(block >= 0)
        np.minimum.at(first, block[frame, view, slot], rows.start + frame)
    rank = np.empty(found, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(found)
    return rank
