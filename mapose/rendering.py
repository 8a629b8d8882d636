"""Poses made visible in files: labelled videos and figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mapose.io import Video, VideoWriter, prefetch, read
from mapose.plots import (
    draw_video,
    plot_confidence,
    plot_histograms,
    plot_positions,
    plot_trajectories,
)
from mapose.poses import Poses

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def render_video(
    video: str | os.PathLike[str],
    poses: Poses | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    frames: slice | None = None,
    cutoff: float = 0.3,
    trail: int = 25,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Draw poses into a video.

    Parameters
    ----------
    video : path
        The recording.
    poses : Poses or path
        In its pixels.
    output : path
        Video file to write; it appears under its name when it is complete.
    frames : slice, optional
        Frames ``start:stop``; all by default.
    cutoff : float
        Keypoints less certain are hidden.
    trail : int
        Length of the trails, frames; 0 = none.
    on_progress : function of (int, int), optional
        Called with frames done and frames in all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    VideoError
        If the video cannot be opened or the output not be written.
    """
    poses = poses if isinstance(poses, Poses) else read(Path(poses))
    with Video(video) as source:
        start, stop, _ = (frames or slice(None)).indices(len(source))
        drawn = draw_video(
            prefetch(source.iterate(start, stop)), poses, cutoff=cutoff, trail=trail, stamp=True
        )
        with VideoWriter(output, source.rate) as writer:
            for done, image in enumerate(prefetch(drawn), 1):
                writer.write(image)
                on_progress(done, stop - start)
    return Path(output)


def save_plots(
    poses: Poses,
    folder: str | os.PathLike[str],
    *,
    image: npt.NDArray[np.uint8] | None = None,
) -> Iterator[Path]:
    """Write the usual figures as PNG: trajectories, positions, confidence, histograms.

    Parameters
    ----------
    poses : Poses
        What to plot.
    folder : path
        Made if it is not there.
    image : uint8, (H, W) or (H, W, 3), optional
        Background of the trajectories.

    Yields
    ------
    Path
        Each file as it is written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "trajectories": lambda: plot_trajectories(poses, image=image),
        "positions": lambda: plot_positions(poses),
        "confidence": lambda: plot_confidence(poses),
        "histograms": lambda: plot_histograms(poses),
    }
    for name, draw in figures.items():
        draw().savefig(folder / f"{name}.png", dpi=150)
        yield folder / f"{name}.png"
