"""OpenPose's output: a folder with one json per frame, people in no particular order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Ints, Singles
from mapose.errors import FormatError
from mapose.io.conventions import settle_points
from mapose.io.instances import check_room
from mapose.poses import Poses
from mapose.reading import load_json
from mapose.skeleton import Skeleton, find_mirror

_NUMBER = re.compile(r"\d+")
# A second model must make bodies this much larger before the first one is believed. On real
# detections of 25 keypoints the wrong one makes them 1.8 to 4.2 times as large.
_CLEAR = 1.3

_LIMBS = (
    "LShoulder-LElbow LElbow-LWrist RShoulder-RElbow RElbow-RWrist LHip-LKnee LKnee-LAnkle "
    "RHip-RKnee RKnee-RAnkle "
)
_FACE = "Nose-LEye Nose-REye LEye-LEar REye-REar "
_FEET = (
    "LAnkle-LBigToe LBigToe-LSmallToe LAnkle-LHeel RAnkle-RBigToe RBigToe-RSmallToe RAnkle-RHeel "
)
_NECK = "Neck-LShoulder Neck-RShoulder "
# Keypoints and edges of each model, in the order of its output.
_MODELS = {
    "BODY_25": (
        "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip "
        "LKnee LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
        _LIMBS + _FACE + _FEET + _NECK + "Nose-Neck Neck-MidHip MidHip-LHip MidHip-RHip",
    ),
    "BODY_25B": (
        "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee "
        "RKnee LAnkle RAnkle Neck Head LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
        _LIMBS + _FACE + _FEET + _NECK + "Nose-Neck Neck-Head LHip-RHip LShoulder-LHip "
        "RShoulder-RHip",
    ),
    "COCO": (
        "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee "
        "LAnkle REye LEye REar LEar",
        _LIMBS + _FACE + _NECK + "Nose-Neck Neck-LHip Neck-RHip",
    ),
    "MPI": (
        "Head Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee "
        "LAnkle Chest",
        _LIMBS + _NECK + "Head-Neck Neck-Chest Chest-LHip Chest-RHip",
    ),
    "COCO_17": (
        "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee "
        "RKnee LAnkle RAnkle",
        _LIMBS + _FACE + "LShoulder-RShoulder LHip-RHip LShoulder-LHip RShoulder-RHip",
    ),
    "HALPE_26": (
        "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee "
        "RKnee LAnkle RAnkle Head Neck Hip LBigToe RBigToe LSmallToe RSmallToe LHeel RHeel",
        _LIMBS + _FACE + _FEET + _NECK + "Nose-Neck Neck-Head Neck-Hip Hip-LHip Hip-RHip",
    ),
}  # fmt: skip


def is_openpose_folder(path: Path) -> bool:
    """Tell whether a folder holds json files of OpenPose, by looking into the first one."""
    first = min(path.glob("*.json"), default=None)
    if first is None:
        return False
    try:
        document = load_json(first)
    except (OSError, FormatError):
        return False
    return isinstance(document, dict) and isinstance(document.get("people"), list)


def read_openpose_poses(path: Path) -> Poses:
    """Read the people that OpenPose found in one video.

    Parameters
    ----------
    path : Path
        Folder with one json per frame, or one of its files. The last number in a file's name is
        its frame. Also from other tools that write this format, such as Pose2Sim.

    Returns
    -------
    Poses
        People are unordered slots (``individuals`` None), each in its place in the frame's list:
        OpenPose lists them anew in each frame.
        Which model it was is known by the number of keypoints, and between BODY_25 and BODY_25B
        by the shape of the people. The rate is not in such files.

    Raises
    ------
    FormatError
        If a file is damaged, or the keypoints are none that are known.
    """
    folder = path if path.is_dir() else path.parent
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FormatError(f"{folder}: wanted json files of OpenPose, one per frame; there are none")
    people = [_read_people(file) for file in files]
    count = _find_count(people, folder)
    most = max(1, max(len(p) for p in people))
    check_room((len(files), most, count, 3), sum(len(p) for p in people) * count * 3, what=folder)
    array = np.zeros((len(files), most, count, 3), np.float32)
    for row, found in enumerate(people):
        for i, points in enumerate(found):
            if points:
                array[row, i] = np.reshape(points, (count, 3))
    array[array[..., 2] <= 0, :2] = np.nan  # OpenPose puts 0, 0, 0 for what it did not find
    array = settle_points(array, folder)
    frames = _number_frames([file.stem for file in files], folder)
    order = np.argsort(frames, kind="stable")
    skeleton = _choose_model(array, folder)
    return Poses(array[order], skeleton, frames=frames[order])


def _read_people(path: Path) -> list[list[float]]:
    try:
        document = load_json(path)
        found = [person["pose_keypoints_2d"] for person in document["people"]]
        return [[float(n) for n in points] for points in found]
    except (FormatError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise FormatError(f"{path} is not a json of OpenPose, or cut off ({error})") from error


def _find_count(people: Sequence[Sequence[Any]], folder: Path) -> int:
    """Find the number of keypoints, the same for all people of a video."""
    lengths = {len(points) for found in people for points in found if points}
    if not any(score > 0 for found in people for points in found for score in points[2::3]):
        raise FormatError(
            f"{folder}: nobody was found in any of {len(people)} frames; leave this view out"
        )
    counts = sorted(n // 3 for n in lengths)
    if len(lengths) > 1 or max(lengths) % 3:
        raise FormatError(
            f"{folder}: wanted x, y, score of the same keypoints throughout, came lists of "
            + " and ".join(str(n) for n in sorted(lengths))
            + " numbers; is this more than one recording?"
        )
    return counts[0]


def _number_frames(stems: Sequence[str], folder: Path) -> Ints:
    """Find the frame numbers in file names; count the files where that is impossible."""
    numbers = [_NUMBER.findall(stem) for stem in stems]
    if all(numbers):
        frames = np.array([int(n[-1]) for n in numbers], np.int64)
        if len(np.unique(frames)) == len(frames):
            return frames
        pairs = zip(stems, numbers, strict=True)
        series = sorted({stem[: stem.rindex(found[-1])] for stem, found in pairs})
        if 1 < len(series) < len(stems):
            raise FormatError(
                f"{folder}: wanted the frames of one video, found those of {len(series)}: files "
                f"begin with {', '.join(map(repr, series[:5]))}; put each into a folder of its own"
            )
    return np.arange(len(stems))


def _choose_model(array: Singles, folder: Path) -> Skeleton:
    """Choose the model of which these are the keypoints: limbs are short in the right one."""
    skeletons = [_make_skeleton(*model) for model in _MODELS.values()]
    fitting = [s for s in skeletons if len(s.keypoints) == array.shape[2]]
    if not fitting:
        known = ", ".join(f"{name} ({len(k.split())})" for name, (k, _) in _MODELS.items())
        raise FormatError(f"{folder}: {array.shape[2]} keypoints are of no known model: {known}")
    if len(fitting) == 1:
        return fitting[0]
    sizes = [_measure_limbs(array, s) for s in fitting]
    order = np.argsort(sizes)
    if not sizes[order[1]] > _CLEAR * sizes[order[0]]:
        raise FormatError(
            f"{folder}: too little is seen of the people to tell BODY_25 from BODY_25B"
        )
    return fitting[order[0]]


def _measure_limbs(array: Singles, skeleton: Skeleton) -> float:
    """Average the lengths of a skeleton's limbs, each by its median over all people."""
    ends = array[:, :, skeleton.edge_index, :2]
    lengths = np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1).reshape(-1, ends.shape[2])
    seen = np.isfinite(lengths).any(0)
    return float(np.nanmedian(lengths[:, seen], axis=0).mean()) if seen.any() else np.nan


def _make_skeleton(keypoints: str, edges: str) -> Skeleton:
    names = keypoints.split()
    return Skeleton(names, [e.split("-") for e in edges.split()], find_mirror(names))
