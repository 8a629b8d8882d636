"""A labelled video of all cameras of a session, side by side, with the scene in space."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import cv2
import numpy as np

from mapose import plots  # matplotlib and cv2 are loaded when something is drawn
from mapose.arrays import Image
from mapose.edits import find_edits_path
from mapose.errors import SettingsError
from mapose.files import claim_output, name_work
from mapose.io import Video, VideoWriter, prefetch
from mapose.io.video_writer import UNKNOWN_RATE, VIDEO_ENDINGS
from mapose.plots.overlay import Frame
from mapose.plots.tags import draw_tag, find_text_size
from mapose.poses import Poses
from mapose.results.recordings import check_view
from mapose.results.rendering import DrawingOptions, choose_drawing, find_view, name_span
from mapose.results.result import Result

# Of the whole picture, at most: what every projector and every player can show.
_WIDEST, _HIGHEST = 1920, 1200


def render_views(
    videos: Mapping[str, str | os.PathLike[str]],
    poses: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    frames: slice | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **drawing: Unpack[DrawingOptions],
) -> Path:
    """Draw 3D poses into the videos of several cameras, and beside them the scene in space.

    Parameters
    ----------
    videos : dict of str to path
        Recordings by camera, as many as are to be shown; frame i of each is row i of the poses.
        Where one ends before the others its panel is grey.
    poses : path
        3D poses with their cameras, as `mapose triangulate` writes them.
    output : path
        Video file to write; it appears under its name when it is complete.
    frames : slice, optional
        Frames ``start:stop``; all by default.
    force : bool
        Replace a file that was not rendered from the same videos, poses and frames.
    on_progress : function of (int, int), optional
        Called with frames done and frames in all.
    **drawing
        ``cutoff`` and ``trail`` as in `mapose.results.rendering.render_video`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    VideoError
        If a video cannot be opened or the output not be written.
    FormatError
        If the file has no cameras, or no poses in 3D.
    SettingsError
        If a camera is none of the file's, the output is a file that is read, or may not be
        replaced.
    """
    files = [*videos.values(), poses, find_edits_path(poses)]
    made = name_work("render", files[:-1], frames=name_span(frames))
    with Result(poses) as result:
        scene, edited = result.poses, result.support.get("edited")
        if scene.dimensions != 3:
            raise SettingsError(
                f"{Path(poses).name} holds 2D poses: several cameras need poses in 3D"
            )
        views = {name: find_view(result, name) for name in videos}
        cameras = list(result.cameras or ())
        names = [camera.name for camera in cameras]
    options = choose_drawing(scene, drawing)
    claimed = claim_output(output, inputs=files, suffixes=VIDEO_ENDINGS, made=made, force=force)
    with claimed, ExitStack() as stack:
        sources = {name: stack.enter_context(Video(path)) for name, path in videos.items()}
        for camera in cameras:
            if camera.name in sources:
                source = sources[camera.name]
                check_view(
                    views[camera.name], camera.size, source, camera=camera.name, cameras=names
                )
        start, stop, _ = (frames or slice(None)).indices(max(map(len, sources.values())))
        layout = _Layout.fit([source.size for source in sources.values()])
        still = plots.make_stage(scene, layout.last, cameras=cameras)
        shown = [_scale_poses(views[n], k) for n, k in zip(sources, layout.scales, strict=True)]
        pictures = [
            prefetch(_iterate(source, start, stop, scale))
            for source, scale in zip(sources.values(), layout.scales, strict=True)
        ]
        panels = [
            plots.draw_video(images, view, **options)
            for images, view in zip(pictures, shown, strict=True)
        ]
        repeated = ((i, still.background) for i in range(start, stop))
        panels.append(plots.draw_video(repeated, still.poses, stamp=True, **options))
        if edited is not None:
            panels = [
                plots.draw_rings(panel, view, marked=edited, first=start)
                for panel, view in zip(panels, [*shown, still.poses], strict=True)
            ]
        rate = next((s.rate for s in sources.values() if s.rate), scene.rate) or UNKNOWN_RATE
        with VideoWriter(output, rate, made=made) as writer:
            for done, images in enumerate(zip(*map(prefetch, panels), strict=True), 1):
                writer.write(layout.compose(images, list(sources)))
                on_progress(done, stop - start)
    return Path(output)


def _iterate(source: Video, start: int, stop: int, scale: float) -> Iterator[Frame]:
    """Give small frames to the end that is wanted, None where the video is shorter."""
    width, height = (max(1, round(scale * side)) for side in source.size)
    small = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    for i, image in source.iterate(min(start, len(source)), min(stop, len(source))):
        yield i, None if image is None else cv2.resize(image, (width, height), interpolation=small)  # type: ignore[misc]
    for i in range(max(start, len(source)), stop):
        yield i, None


def _scale_poses(poses: Poses, scale: float) -> Poses:
    """Move poses to where they are in smaller pictures; centres of pixels are whole numbers."""
    array = poses.array.copy()
    array[..., :2] = (array[..., :2] + 0.5) * scale - 0.5
    return replace(poses, array=array, covariance=None)


@dataclass(frozen=True)
class _Layout:
    """Panels of one size in rows, the last one as wide as there is room.

    Parameters
    ----------
    size : (int, int)
        Width and height of a panel, px, even numbers.
    columns : int
        Panels in a row.
    scales : sequence of float
        By how much each picture is made larger to fit into its panel.
    """

    size: tuple[int, int]
    columns: int
    scales: Sequence[float]

    @classmethod
    def fit(cls, sizes: Sequence[tuple[int, int]]) -> _Layout:
        """Choose the number of columns with which pictures come out largest."""
        shape = max(sizes)
        count = len(sizes) + 1

        def find_scale(columns: int) -> float:
            rows = math.ceil(count / columns)
            return min(1.0, _WIDEST / columns / shape[0], _HIGHEST / rows / shape[1])

        columns = max(range(1, count + 1), key=lambda n: (find_scale(n), -abs(n * n - count)))
        width, height = (2 * max(1, int(find_scale(columns) * side / 2)) for side in shape)
        scales = [min(width / wide, height / high) for wide, high in sizes]
        return cls((width, height), columns, scales)

    @property
    def last(self) -> tuple[int, int]:
        """Width and height of the last panel, px."""
        free = -(len(self.scales) + 1) % self.columns
        return (1 + free) * self.size[0], self.size[1]

    def compose(self, images: Sequence[Image], names: Sequence[str]) -> Image:
        """Put panels beside each other, each in the middle of its field, named but for the last."""
        width, height = self.size
        rows = math.ceil(len(images) / self.columns)
        page = np.zeros((rows * height, self.columns * width, 3), np.uint8)
        for i, image in enumerate(images):
            left, top = i % self.columns * width, i // self.columns * height
            field = page[top : top + height, left : (left + width if i < len(names) else None)]
            _paste(field, image)
            if i < len(names):
                draw_tag(field, names[i], (4, 4), size=find_text_size(field.shape), opacity=0.55)
        return page


def _paste(field: Image, image: Image) -> None:
    high, wide = image.shape[:2]
    top, left = (field.shape[0] - high) // 2, (field.shape[1] - wide) // 2
    field[top : top + high, left : left + wide] = image[: field.shape[0], : field.shape[1]]
