"""The whole sentence on a drawn scene: labels, training, analysis, tracks, video, figures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mapose.comparison import Comparison, compare_poses
from mapose.errors import SettingsError
from mapose.importing import import_labels
from mapose.io import VideoWriter, load, load_provenance, prefetch, save
from mapose.labels import Labels
from mapose.pipeline import SUFFIX, analyze_file
from mapose.poses import Poses
from mapose.project import Project
from mapose.rendering import render_video, save_plots
from mapose.synthetic import Scene, make_cameras, make_scene
from mapose.training import train

#: Animals, frames and labelled frames of the demo.
ANIMALS, FRAMES, LABELLED = 3, 600, 150


class ShowProgress(Protocol):
    """Told where the demo stands."""

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Take the stage's name, how much of it is done, how much there is, and a note."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    comparison : Comparison
        Result against truth, on frames that were not trained on.
    project, video : Path
        The project folder and the labelled video.
    plots : list of Path
        The figures.
    """

    comparison: Comparison
    project: Path
    video: Path
    plots: list[Path]

    def __str__(self) -> str:
        return (
            f"{self.comparison}\n\nproject         {self.project}\nlabelled video  {self.video}\n"
            f"plots           {self.plots[0].parent}\n\n"
            f"The same with your own labels: mapose import DIR --from LABELS, then train, analyze."
        )


def run_demo(
    folder: str | os.PathLike[str],
    *,
    minutes: float = 6.0,
    on_progress: ShowProgress = lambda stage, done, total, note="": None,
) -> DemoResult:
    """Draw a scene of three animals, learn from 150 of its frames, and follow them through it.

    Parameters
    ----------
    folder : path
        A new folder for the project.
    minutes : float
        Time for training.
    on_progress : ShowProgress, optional
        Called often.

    Returns
    -------
    DemoResult

    Raises
    ------
    SettingsError
        If the folder holds something already.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} exists already: delete it, or name another: mapose demo DIR")
    cameras = make_cameras(1, size=(480, 360))
    scene = make_scene(ANIMALS, FRAMES, seed=0, rate=25, appearance="similar", cameras=cameras)
    project = Project.create(folder, scene.skeleton, individuals=scene.individuals)
    video = _draw_video(scene, folder / "videos" / "arena.mp4", on_progress)
    truth = scene.truth(occluded=False)
    save(truth, folder / "results" / f"truth{SUFFIX}", provenance={"source": "synthetic scene"})
    import_labels(project, _take_labels(truth, video), count=LABELLED)
    model = train(
        Project.load(folder),
        overrides=[f"train.minutes={minutes}", "train.every=200"],
        on_progress=lambda p: on_progress(
            "training", p.share * 100, 100, f"loss {p.loss:.2f}, test error {p.test_error:.1f} px"
        ),
    )
    result = analyze_file(
        video,
        model,
        output=folder / "results" / f"arena{SUFFIX}",
        on_progress=lambda p: on_progress("analysing", p.done, p.total),
    )
    labelled = render_video(
        video,
        result,
        folder / "results" / "arena.labelled.mp4",
        on_progress=lambda done, total: on_progress("rendering", done, total),
    )
    poses = load(result)
    plots = list(save_plots(poses, folder / "results" / "plots", image=scene.draw(0)))
    trained = load_provenance(result)["trained_frames"]
    return DemoResult(compare_poses(truth, poses, leave_out=trained), folder, labelled, plots)


def _draw_video(scene: Scene, path: Path, on_progress: ShowProgress) -> Path:
    with VideoWriter(path, scene.rate) as writer:
        for done, image in enumerate(prefetch(scene.draw_frames()), 1):
            writer.write(image)
            on_progress("drawing", done, len(scene))
    return path


def _take_labels(truth: Poses, video: Path) -> Labels:
    return Labels(
        truth.points,
        truth.skeleton,
        videos=(video.stem,) * len(truth),
        frames=np.arange(len(truth)),
        images=(None,) * len(truth),
        individuals=truth.names,
        identified=True,
        sources={video.stem: video},
    )
