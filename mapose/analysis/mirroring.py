"""What a model finds in mirrored pictures: where that is something else, it is not sure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mapose.analysis.posing import assemble_poses
from mapose.analysis.prediction import Predictor
from mapose.arrays import Image, Ints
from mapose.errors import VideoError
from mapose.io import Video
from mapose.models import Model
from mapose.poses import Poses


def find_mirrored(
    video: str | os.PathLike[str],
    model: Model | str | os.PathLike[str],
    *,
    count: int = 300,
    device: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Poses:
    """Find the animals in mirrored frames of a video, and mirror them back.

    To be held against the result of the same model, see `mapose.find_outliers`.

    Parameters
    ----------
    video : path
        Video file.
    model : Model or path
        Model or model folder.
    count : int
        Frames to look at, spread evenly over the video.
    device : str, optional
        Where to compute.
    on_progress : function of (int, int)
        Called with frames done and frames in all.

    Returns
    -------
    Poses
        In pixels of the frames as they are; of the frames that could be read, with slots instead
        of individuals.
    """
    model = model if isinstance(model, Model) else Model.load(model)
    predictor = Predictor(model, device=device)
    with Video(Path(video), gray=model.channels == 1) as source:
        wanted = np.unique(
            np.linspace(0, len(source) - 1, min(count, len(source))).astype(np.int64)
        )
        read: list[int] = []

        def show_mirrored() -> Iterator[Image]:
            for done, n in enumerate(wanted.tolist(), 1):
                try:
                    image = source.read(n)
                except VideoError:
                    continue
                read.append(n)
                yield np.ascontiguousarray(image[:, ::-1])
                on_progress(done, len(wanted))

        peaks = predictor.find_images(show_mirrored())
        found = assemble_poses(peaks, model)
        return mirror_poses(found, source.size[0], frames=np.array(read, np.int64))


def mirror_poses(poses: Poses, width: int, *, frames: Ints | None = None) -> Poses:
    """Mirror poses in images of a width: left keypoints change places with right ones.

    Parameters
    ----------
    poses : Poses
        2D, px.
    width : int
        Of the images.
    frames : int64, (F,), optional
        Video frames of the rows.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> ears = Skeleton(["earL", "earR"], mirror=[("earL", "earR")])
    >>> poses = Poses([[[[1, 5, 1], [3, 6, 1]]]], ears)
    >>> mirror_poses(poses, 10).points[0, 0].tolist()
    [[6.0, 6.0], [8.0, 5.0]]
    """
    array = poses.array[:, :, poses.skeleton.flip_order].copy()
    array[..., 0] = width - 1 - array[..., 0]
    numbers = poses.frames if frames is None else frames
    return Poses(array, poses.skeleton, poses.individuals, poses.rate, poses.unit, numbers)
