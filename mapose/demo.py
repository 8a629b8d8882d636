"""The whole sentence on a drawn scene: labels, training, analysis, tracks, pictures, checks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mapose.analysis.pipeline import analyze_file
from mapose.analysis.retracking import TrackOptions, track_file
from mapose.errors import SettingsError
from mapose.files import RESULT
from mapose.io import VideoWriter, load, load_provenance, prefetch, save
from mapose.labels import Labels
from mapose.metrics import find_lasting_swaps
from mapose.poses import Poses
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.results.comparison import Comparison, compare_poses
from mapose.results.rendering import render_video, save_plots
from mapose.synthetic import Arena, Scene, make_cameras, make_scene
from mapose.training.training import train
from mapose.zoo import find_model

#: Animals, frames and labelled frames of the demo; steps of its training, and of learning looks.
ANIMALS, FRAMES, LABELLED, STEPS, LOOKS = 3, 600, 30, 300, 200
#: Scenes that the demo chooses from.
SCENES = 5
#: What the demo promises, as the README says it.
LEAST_MAP, LEAST_IDF1, MOST_SWAPS, MOST_ERROR = 0.93, 0.97, 0, 0.05


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
    faults : list of str
        A sentence for each promise that was not kept.
    project, video : Path
        The project folder and the labelled video.
    plots : list of Path
        The figures.
    """

    comparison: Comparison
    faults: list[str]
    project: Path
    video: Path
    plots: list[Path]

    def __str__(self) -> str:
        kept = [f"wrong: {fault}" for fault in self.faults] or ["all is as promised"]
        return "\n".join(
            [
                f"{self.comparison}\n",
                *kept,
                "",
                f"open first      {self.video}",
                f"figures         {self.plots[0].parent}",
                f"project         {self.project}",
                "",
                "With your own labels: mapose import DIR --from LABELS, then train, analyze",
            ]
        )


def run_demo(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    steps: int = STEPS,
    on_progress: ShowProgress = lambda stage, done, total, note="": None,
) -> DemoResult:
    """Draw a scene of three animals, learn from 30 of its frames, and follow them through it.

    Training starts from the model ``zoo:drawn-mice``, which has seen other mice in other rooms:
    the way of a lab that has an older model. The animals are told apart by their looks, which are
    learned from the video. What the README promises of the result is checked.

    Parameters
    ----------
    folder : path
        A new folder for the project.
    seed : int
        Of the scene and of the training.
    steps : int
        Of the training.
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
    scene = _choose_scene(seed)
    project = Project.create(folder, scene.skeleton, individuals=scene.individuals)
    video = _draw_video(scene, folder / "videos" / "arena.mp4", on_progress)
    truth = scene.truth(occluded=False)
    save(truth, folder / "results" / f"truth{RESULT}", provenance={"source": "synthetic scene"})
    import_labels(project, _take_labels(truth, video), count=LABELLED)
    model = train(
        Project.load(folder),
        init=find_model("zoo:drawn-mice"),
        overrides=[f"train.steps={steps}", f"train.seed={seed}"],
        on_progress=lambda p: on_progress("training", p.share * 100, 100, p.note),
    )
    result = analyze_file(
        video,
        model,
        output=folder / "results" / f"arena{RESULT}",
        on_progress=lambda p: on_progress("analysing", p.done, p.total),
    )
    tracked = track_file(
        result,
        options=TrackOptions(ANIMALS, appearance=True, video=video, steps=LOOKS),
        on_progress=on_progress,
    )
    labelled = render_video(
        video,
        tracked,
        folder / "results" / "arena.labelled.mp4",
        on_progress=lambda done, total: on_progress("rendering", done, total),
    )
    poses = load(tracked)
    plots = list(save_plots(poses, folder / "results" / "plots", image=scene.draw(0)))
    trained = load_provenance(result)["trained_frames"]
    comparison = compare_poses(truth, poses, leave_out=trained)
    swaps = len(find_lasting_swaps(truth, poses))
    return DemoResult(comparison, find_faults(comparison, swaps), folder, labelled, plots)


def find_faults(comparison: Comparison, swaps: int) -> list[str]:
    """Hold a result against what the demo promises.

    Parameters
    ----------
    comparison : Comparison
        Of the result with the truth.
    swaps : int
        Changes of name that last.

    Returns
    -------
    list of str
        A sentence for each promise that is not kept.
    """
    least = (
        ("OKS mAP", comparison.similarity.map, LEAST_MAP),
        ("IDF1", comparison.tracks.idf1, LEAST_IDF1),
    )
    most = (
        ("lasting swaps of names", float(swaps), MOST_SWAPS),
        ("the error of the stated probabilities", comparison.names.calibration_error, MOST_ERROR),
    )
    # Said so that NaN, which is what nothing found gives, is a fault.
    faults = [f"{what} is {v:.3f}, promised is at least {p}" for what, v, p in least if not v >= p]
    faults += [f"{what}: {v:.3g}, promised are at most {p}" for what, v, p in most if not v <= p]
    return faults


def _choose_scene(seed: int) -> Scene:
    """Take of a few scenes the one in which the animals hide least of each other.

    A demo shows what a usual recording gives. Scenes in which mice lie on each other in a corner
    for seconds are left to `tests/benchmarks/benchmark_ladder.py`.
    """
    arena = Arena(width=480, depth=360)
    cameras = make_cameras(1, size=(480, 360), arena=arena)
    scenes = [
        make_scene(
            ANIMALS,
            FRAMES,
            seed=number,
            rate=25,
            appearance="distinct",
            arena=arena,
            cameras=cameras,
        )
        for number in range(SCENES * seed, SCENES * (seed + 1))
    ]
    return max(scenes, key=lambda scene: float(scene.visibility().mean()))


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
