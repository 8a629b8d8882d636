"""SLEAP label files (.slp), with or without images inside."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import sleap_io as sio

from mapose.arrays import Image, Ints, Singles
from mapose.errors import FormatError
from mapose.files import write_atomically
from mapose.io.conventions import distinguish_names, settle_points
from mapose.io.hdf5 import leave_mark, open_hdf5, open_sink, write_aside
from mapose.io.images import check_pixels
from mapose.io.instances import (
    assign_columns,
    check_room,
    fill_array,
    name_columns,
    unname_slots,
)
from mapose.io.picture_sizes import hold_sizes
from mapose.io.sleap_tables import fill_tables
from mapose.io.sleap_videos import find_recordings
from mapose.io.sources import find_frame_numbers, find_images, name_videos
from mapose.labels import ORIGINS, Labels, list_distinct
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.reading import read_hdf5
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)

# Other tools whose label files sleap-io turns into its own type, by the name it gives them.
THROUGH_SLEAP = ("leap", "alphatracker", "jabs", "nwb")


@dataclass(frozen=True)
class _Instances:
    """What all instances of a file come to: one entry per instance, in the order of frames.

    ``row`` counts the labelled frames that are kept; ``video`` and ``number`` are per such frame.
    """

    xy: Singles
    score: Singles
    row: Ints
    tracks: list[str | None]
    video: list[int]
    number: Ints
    skeleton: Any
    left_out: tuple[str, ...] = ()


def read_slp_labels(path: Path, *, format: str = "slp") -> Labels:
    """Read labels from a SLEAP file: what a person placed, else what a network found.

    Parameters
    ----------
    path : Path
        ``.slp`` or ``.pkg.slp``.
    format : str
        ``"slp"``, or another format that sleap-io reads (`THROUGH_SLEAP`).

    Returns
    -------
    Labels
        One frame for each that holds a user's instance (or is marked as empty); if the file
        has no user's instances at all, for each that holds a predicted one. `images` are known
        only where the file names image files; images inside the file are handed out by
        `read_slp_images`.

    Raises
    ------
    FormatError
        If the file cannot be read or holds no instances.
    """
    source = _load(path, format)
    by_hand = any(lf.has_user_instances for lf in source)
    taken = _collect(source, path, "user" if by_hand else "predicted")
    recordings = find_recordings(source, path, int(taken.number.max()))
    names, sources = recordings.names, dict(recordings.files)
    for name in recordings.others:  # what was marked on other pictures is not there
        del sources[name]
    told = [f"{other}: it is not taken" for other in recordings.others.values()]
    videos = [names[v] for v in taken.video]
    images: list[Path | None] = [None] * len(videos)
    listed = _list_images(source, taken)
    stated = [recordings.sizes.get(names[taken.video[row]]) for row in listed]
    found, differing = hold_sizes(find_images(list(listed.values()), path.parent), stated)
    told += differing
    by_folder = name_videos(list(listed.values()), "images")
    for row, image, name in zip(listed, found, by_folder, strict=True):
        images[row], videos[row] = image, name
    # Where pictures are listed, numbers are places in the list, not frames of a recording.
    numbers = taken.number.copy()
    numbers[list(listed)] = find_frame_numbers(list(listed.values()), by_folder)
    columns, individuals, identified = assign_columns(
        taken.row, taken.tracks, videos, order=list(_name_tracks(source, path).values())
    )
    points = fill_array(taken.xy, taken.row, columns, (len(videos), len(individuals)))
    origin = ORIGINS.index("person" if by_hand else "model")
    return Labels(
        points,
        _read_skeleton(taken.skeleton),
        tuple(videos),
        numbers,
        tuple(images),
        tuple(individuals),
        identified,
        sources,
        (*taken.left_out, *told, *recordings.told),
        origins=np.where(np.isfinite(points).all(-1), origin, 0),
    )


def read_slp_poses(path: Path) -> Poses:
    """Read the poses of one video from a SLEAP file.

    Parameters
    ----------
    path : Path
        ``.slp`` with predictions, corrected or not: a user's instance, where there is one,
        stands for the prediction it came from, with confidence 1.

    Returns
    -------
    Poses
        All frames from 0 to the last one of the video, as far as its length is known, as SLEAP
        leaves out frames in which it found nothing; only the labelled frames if there are no
        predictions. Tracks are individuals; instances without a track fill slots.

    Raises
    ------
    FormatError
        If the file holds no instances, or those of several videos.
    """
    source = _load(path, "slp")
    taken = _collect(source, path, "all")
    recordings = find_recordings(source, path, int(taken.number.max()))
    for sentence in (*taken.left_out, *recordings.others.values(), *recordings.told):
        log.warning("%s: %s", path.name, sentence)
    used = sorted({recordings.names[v] for v in taken.video})
    if len(used) > 1:
        listed = ", ".join(used[:5])
        raise FormatError(f"{path}: wanted the poses of one video, found {len(used)}: {listed}")
    numbers, place = np.unique(taken.number, return_inverse=True)
    # A frame that is listed twice, as merged projects have it, is one.
    rows = place[taken.row]
    kept = list_distinct(taken.xy, rows)
    if len(kept) < len(rows):
        log.warning(
            "%s: %d animals lie exactly upon another one and are left out",
            path.name, len(rows) - len(kept),
        )  # fmt: skip
    rows, tracks = rows[kept], [taken.tracks[n] for n in kept]
    order = list(_name_tracks(source, path).values())
    columns, individuals = name_columns(rows, tracks, order=order)
    length = recordings.lengths.get(used[0], 0)
    if 0 < length <= numbers[-1]:
        log.warning(
            "%s: its poses go to frame %d, but %s has %d frames: were they found in another "
            "recording?",
            path.name, numbers[-1], used[0], length,
        )  # fmt: skip
    if any(i for lf in source for i in lf.predicted_instances):
        # Frames without anybody count: they tell how far the recording was looked at.
        last = max(frame.frame_idx for frame in source)
        length = max(int(last) + 1, length)
        check_room((length,), len(taken.number), what=path)
        rows, numbers = numbers[rows], np.arange(length)
    found = np.concatenate([taken.xy, taken.score[..., None]], -1)[kept]
    return Poses(
        fill_array(settle_points(found, path), rows, columns, (len(numbers), len(individuals))),
        _read_skeleton(taken.skeleton),
        unname_slots(individuals),
        rate=recordings.rates.get(used[0]),
        frames=numbers,
    )


def find_slp_video(path: Path) -> Path | None:
    """Find the video of a SLEAP file with poses of one video; None if it is not there."""
    source = _load(path, "slp")
    used = {id(frame.video) for frame in source if len(frame)}
    last = max((frame.frame_idx for frame in source), default=0)
    recordings = find_recordings(source, path, last)
    pairs = zip(recordings.names, source.videos, strict=True)
    names = list(dict.fromkeys(name for name, video in pairs if id(video) in used))
    fitting = len(names) == 1 and names[0] not in recordings.others
    return recordings.files.get(names[0]) if fitting else None


def read_slp_images(path: Path, labels: Labels) -> Iterator[tuple[int, Image]]:
    """Hand out the images that a ``.pkg.slp`` holds.

    Parameters
    ----------
    path : Path
        The file.
    labels : Labels
        Read from it by `read_slp_labels`, or some of its frames.

    Yields
    ------
    row : int
        Row of the labels.
    image : uint8, (H, W) or (H, W, RGB)
    """
    source = _load(path, "slp", open_videos=True)
    names = find_recordings(source, path, None).names
    embedded = {
        (names[v], int(frame)): video
        for v, video in enumerate(source.videos)
        if getattr(video.backend, "has_embedded_images", False)
        for frame in video.backend.frame_map
    }
    for row, (name, frame) in enumerate(zip(labels.videos, labels.frames, strict=True)):
        video = embedded.get((name, int(frame)))
        image = None if video is None else _decode(video, int(frame), path)
        if image is not None:
            yield row, image[..., 0] if image.shape[-1] == 1 else image


def _decode(video: Any, frame: int, path: Path) -> Image | None:
    """Decode an image of the file; None, and a warning, where it is damaged."""
    try:
        with read_hdf5(path) as file:
            stored = file[video.backend.dataset]
            if "format" in stored.attrs:  # it is encoded, as PNG or JPEG
                raw = np.asarray(stored[video.backend.frame_map[frame]]).astype(np.uint8)
                check_pixels(BytesIO(raw.tobytes()), path)
        image = np.asarray(video[frame], np.uint8)
    except Exception as error:  # sleap-io raises whatever the damage leads to
        log.warning("%s: the image of frame %d is damaged: %s", path.name, frame, error)
        return None
    return image if image.ndim == 3 and image.size else None


def _load(path: Path, format: str, *, open_videos: bool = False) -> Any:
    if h5py.is_hdf5(path):
        with open_hdf5(path):
            pass  # its sizes are true
    try:
        if format == "slp":
            return sio.load_slp(str(path), open_videos=open_videos)
        return sio.load_file(str(path), format=format)
    except Exception as error:  # sleap-io raises whatever the damage leads to
        raise FormatError(f"{path} cannot be read as {format}: {error}") from error


def _read_skeleton(chosen: Any) -> Skeleton:
    edges: dict[frozenset[str], tuple[str, str]] = {}
    for edge in chosen.edges:
        pair = (edge.source.name, edge.destination.name)
        edges.setdefault(frozenset(pair), pair)
    # A symmetry is a set: its order is that of the keypoints.
    mirror = [
        sorted((n.name for n in s.nodes), key=chosen.node_names.index) for s in chosen.symmetries
    ]
    return Skeleton(chosen.node_names, edges.values(), sorted(m for m in mirror if len(m) == 2))


def _choose_skeleton(instances: list[Any]) -> Any:
    """Choose the skeleton whose keypoints most instances have; files keep unused ones, too."""
    names = [frozenset(i.skeleton.node_names) for i in instances]
    most = Counter(names).most_common(1)[0][0]
    return instances[names.index(most)].skeleton


def _collect(source: Any, path: Path, kind: str) -> _Instances:
    """Go through all frames once."""
    place = {id(video): v for v, video in enumerate(source.videos)}
    frames = sorted(source, key=lambda lf: (place[id(lf.video)], lf.frame_idx))
    chosen: list[Any] = []
    blank = 0
    rows: list[int] = []
    kept: list[Any] = []
    for lf in frames:
        predicted = lf.predicted_instances if kind == "predicted" else _list_unused(lf)
        found = [] if kind == "user" else list(predicted)
        found += [] if kind == "predicted" else lf.user_instances
        if found and kind == "user" and not any(i.n_visible for i in found):
            # Somebody placed an animal without a point: that does not say that there is none.
            blank, found = blank + 1, []
        if found or (kind == "user" and getattr(lf, "is_negative", False)):
            rows += [len(kept)] * len(found)
            chosen += found
            kept.append(lf)
    if not chosen:
        raise FormatError(f"{path}: holds no labelled or predicted instance")
    skeleton = _choose_skeleton(chosen)
    order = {name: k for k, name in enumerate(skeleton.node_names)}
    fits = [set(i.skeleton.node_names) == set(order) for i in chosen]
    left_out: tuple[str, ...] = ()
    if blank:
        left_out = (f"{blank} frames whose animals have no visible point are left out",)
    if not all(fits):
        count = len(fits) - sum(fits)
        left_out += (f"{count} instances with other keypoints than most are left out",)
        rows = [r for r, fit in zip(rows, fits, strict=True) if fit]
        chosen = [i for i, fit in zip(chosen, fits, strict=True) if fit]
    points = [i.points[np.argsort([order[n] for n in i.skeleton.node_names])] for i in chosen]
    xy = np.stack([p["xy"] for p in points]).astype(np.float32)
    xy[~np.stack([p["visible"] for p in points])] = np.nan
    tracks = _name_tracks(source, path)
    by_hand = [not isinstance(i, sio.PredictedInstance) for i in chosen]
    score = [np.ones(len(order)) if h else p["score"] for p, h in zip(points, by_hand, strict=True)]
    return _Instances(
        xy,
        np.stack(score).astype(np.float32),
        np.array(rows, np.int64),
        [None if i.track is None else tracks[id(i.track)] for i in chosen],
        [place[id(lf.video)] for lf in kept],
        np.array([lf.frame_idx for lf in kept], np.int64),
        skeleton,
        left_out,
    )


def _list_unused(frame: Any) -> list[Any]:
    """List the predictions of a frame that no instance of a user stands for."""
    by_hand = frame.user_instances
    used = {id(i.from_predicted) for i in by_hand} | {id(i.track) for i in by_hand if i.track}
    return [i for i in frame.predicted_instances if id(i) not in used and id(i.track) not in used]


def _name_tracks(source: Any, path: Path) -> dict[int, str]:
    """Name each track, by its id; two of one name, as merged projects have, are told apart."""
    tracks = {id(track): str(track.name or "track") for track in source.tracks}
    for frame in source:
        tracks |= {id(i.track): str(i.track.name or "track") for i in frame if i.track is not None}
    names = distinguish_names(list(tracks.values()))
    renamed = [n for n, given in zip(names, tracks.values(), strict=True) if n != given]
    if renamed:
        log.warning("%s: several tracks have one name; they are called %s", path.name, renamed)
    return dict(zip(tracks, names, strict=True))


def _list_images(source: Any, taken: _Instances) -> dict[int, str]:
    """Name the image file of each row whose video is a list of such."""
    listed = {}
    for row, (v, number) in enumerate(zip(taken.video, taken.number.tolist(), strict=True)):
        files = source.videos[v].filename
        if isinstance(files, list) and 0 <= number < len(files):
            listed[row] = str(files[number])
    return listed


def write_slp_labels(labels: Labels, path: Path, *, made: str = "") -> None:
    """Write a SLEAP file of user instances.

    Frames of a video that is at hand (`Labels.sources`) are frames of it; of others, their image
    files make up the video. An occluded keypoint is written with its place, an absent one without.

    Parameters
    ----------
    labels : Labels
        Individuals become tracks where they are identified.
    path : Path
        Ends in ``.slp``.
    made : str
        What makes it, kept as an attribute; SLEAP drops it when it saves the file.

    Raises
    ------
    FormatError
        If a frame has neither a video nor an image.
    """
    skeleton = _make_skeleton(labels.skeleton)
    tracks = [sio.Track(n) for n in labels.individuals] if labels.identified else []
    places, videos = _place_frames(labels)
    frames = []
    for row, (video, number) in enumerate(places):
        marked = np.isfinite(labels.points[row]).all(-1)
        instances = [
            sio.Instance.from_numpy(
                labels.points[row, i].astype(np.float64),
                skeleton,
                track=tracks[i] if tracks else None,
            )
            for i in np.flatnonzero(marked.any(-1))
        ]
        frames.append(sio.LabeledFrame(videos[video], number, instances))
    written = sio.Labels(frames, videos=videos, skeletons=[skeleton], tracks=tracks)
    with write_atomically(path, error=FormatError) as partial:
        with write_aside(partial) as aside:
            sio.save_slp(written, str(aside), embed=False, verbose=False)
        leave_mark(partial, made)


def _place_frames(labels: Labels) -> tuple[list[tuple[int, int]], list[Any]]:
    """Find video and frame of each row, in the video's file, else in a list of images."""
    names, sources = list(dict.fromkeys(labels.videos)), labels.sources or {}
    rows: dict[str, list[int]] = {name: [] for name in names}
    for row, name in enumerate(labels.videos):
        rows[name].append(row)
    places: dict[int, tuple[int, int]] = {}
    videos = []
    for v, name in enumerate(names):
        if name in sources and all(labels.frames[r] >= 0 for r in rows[name]):
            videos.append(sio.Video(str(sources[name]), open_backend=False))
            places |= {r: (v, int(labels.frames[r])) for r in rows[name]}
            continue
        images = [labels.images[r] for r in rows[name]]
        if None in images:
            raise FormatError(f"cannot write labels of {name}: it has neither video nor images")
        videos.append(sio.Video.from_filename([str(image) for image in images]))
        places |= {r: (v, n) for n, r in enumerate(rows[name])}
    return [places[row] for row in range(len(labels))], videos


def _make_skeleton(skeleton: Skeleton) -> Any:
    return sio.Skeleton(
        list(skeleton.keypoints),
        edges=skeleton.edge_index.tolist(),
        symmetries=[list(m) for m in skeleton.mirror],
    )


def write_slp(
    poses: Poses | Parts,
    path: Path,
    *,
    video: str | Path | None = None,
    support: Mapping[str, Any] | None = None,
    made: str = "",
) -> None:
    """Write a SLEAP file of predicted instances, and of user's instances where a person edited.

    sleap-io writes the file without frames; its tables are filled here, as objects for the animals
    would take 13 kB for each frame of four, and most of the time.

    Parameters
    ----------
    poses : Poses or Parts
        2D; of parts, few are in memory at a time. Named individuals become tracks; slots have none.
    path : Path
        Ends in ``.slp``.
    video : Path, optional
        The video that the poses belong to; by default ``<stem of path>.mp4``.
    support : mapping, optional
        An animal with a point that is ``edited``, bool (F, I, K), is a user's instance in that
        frame, as SLEAP keeps what a person corrected; it has no scores.
    made : str
        What makes it, kept as an attribute; SLEAP drops it when it saves the file.

    Raises
    ------
    FormatError
        If the poses are 3D.
    """
    if poses.dimensions != 2:
        raise FormatError("SLEAP files hold image coordinates: wanted 2D poses, came 3D")
    parts = Parts.of(poses, support=support)
    tracks = [sio.Track(n) for n in poses.individuals] if poses.individuals else []
    source = sio.Video(str(video or path.with_suffix(".mp4").name), open_backend=False)
    skeleton = _make_skeleton(poses.skeleton)
    labels = sio.Labels([], videos=[source], skeletons=[skeleton], tracks=tracks)
    with write_atomically(path, error=FormatError) as partial:
        with write_aside(partial) as aside:
            sio.save_slp(labels, str(aside), embed=False, verbose=False)
        with open_sink(partial, "rb+") as sink, h5py.File(sink, "r+") as file:
            fill_tables(file, parts)
        leave_mark(partial, made)
