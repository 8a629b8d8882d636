"""The whole sentence on a drawn scene: labels, training, analysis, names, 3D, pictures, checks."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from mapose.analysis.pipeline import AnalysisProgress, analyze_file
from mapose.analysis.retracking import TrackOptions, track_file
from mapose.cameras.triangulating import ViewOptions, triangulate_files
from mapose.demo.report import write_report
from mapose.demo.result import DemoResult, find_promises
from mapose.errors import SettingsError
from mapose.files import RESULT
from mapose.io import VideoWriter, load_provenance, prefetch, save
from mapose.labels import Labels
from mapose.metrics import find_lasting_swaps, reconstruction_error
from mapose.models import Model
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.results.comparison import compare_poses
from mapose.results.panels import render_views
from mapose.results.rendering import save_plots
from mapose.synthetic import Arena, Scene, make_cameras, make_scene
from mapose.training.training import train
from mapose.zoo import find_model

#: Animals and cameras of the demo, frames of each camera, labelled frames of all; steps of its
#: training, and of learning looks.
ANIMALS, CAMERAS, FRAMES, LABELLED, STEPS, LOOKS = 3, 3, 400, 30, 450, 200
#: Scenes that the demo chooses from.
SCENES = 5


class ShowProgress(Protocol):
    """Told where the demo stands."""

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Take the stage's name, how much of it is done, how much there is, and a note."""


def run_demo(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    steps: int = STEPS,
    on_progress: ShowProgress = lambda stage, done, total, note="": None,
) -> DemoResult:
    """Draw three animals as three cameras see them, learn from 30 frames, and follow them in 3D.

    Training starts from the model ``zoo:drawn-mice``, which has seen other mice in other rooms:
    the way of a lab that has an older model. The animals are told apart by their looks, which are
    learned from the video from above, and matched across the cameras. What the README promises of
    the result is checked.

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
    videos = _draw_videos(scene, folder / "videos", on_progress)
    labels = _take_labels(scene, videos)
    import_labels(project, labels, count=LABELLED)
    project = Project.load(folder)
    model = train(
        project,
        init=find_model("zoo:drawn-mice"),
        # Names are found by looks and places below, as for labels that name nobody. No labels are
        # kept for testing: all the frames that have none are tested.
        overrides=[
            *(f"train.steps={steps}", f"train.seed={seed}"),
            *("train.batch=8", "train.identity=false", "train.test=0"),
        ],
        on_progress=lambda p: on_progress("training", p.share * 100, 100, p.note),
    )
    views = _analyze(project, model, videos, on_progress)
    calibration = folder / "calibration.toml"
    scene.cameras.save(calibration)
    project.add_session("session", {camera: camera for camera in videos})
    session = folder / "results" / f"session{RESULT}"
    found = triangulate_files(
        views,
        calibration,
        output=session,
        views=ViewOptions(individuals=ANIMALS),
        on_progress=partial(on_progress, "in space"),
    )
    video = render_views(
        videos,
        session,
        folder / "results" / "session.labelled.mp4",
        on_progress=partial(on_progress, "rendering"),
    )
    plots = list(save_plots(session, folder / "results" / "plots"))
    truth, top = scene.truth("top", occluded=False), found.views["top"]
    save(truth, folder / "results" / f"truth{RESULT}", provenance={"source": "synthetic scene"})
    comparison = compare_poses(truth, top, leave_out=_find_trained(views["top"]))
    space = reconstruction_error(scene.truth_3d(), found.poses)
    promises = find_promises(comparison, space, len(find_lasting_swaps(truth, top)))
    report = folder / "results" / "report.html"
    result = DemoResult(comparison, space, promises, folder, report, video, plots)
    write_report(result, report)
    return result


def _find_trained(result: Path) -> list[int]:
    trained: list[int] = load_provenance(result)["trained_frames"]
    return trained


def _analyze(
    project: Project, model: Model, videos: dict[str, Path], on_progress: ShowProgress
) -> dict[str, Path]:
    """Analyse the videos; looks are learned in the one from above, where most is seen."""
    views = {}
    for number, (name, video) in enumerate(videos.items()):

        def show(p: AnalysisProgress, number: int = number) -> None:
            on_progress("analysing", number + p.done / max(p.total, 1), len(videos))

        output = project.find_result(video)
        views[name] = analyze_file(video, model, output=output, on_progress=show)
    looks = TrackOptions(ANIMALS, appearance=True, video=videos["top"], steps=LOOKS)
    views["top"] = track_file(views["top"], options=looks, on_progress=on_progress)
    return views


def _choose_scene(seed: int) -> Scene:
    """Take of a few scenes the one in which the animals hide least of each other.

    A demo shows what a usual recording gives. Scenes in which mice lie on each other in a corner
    for seconds are left to `tests/benchmarks/benchmark_ladder.py`.
    """
    arena = Arena(width=480, depth=360)
    cameras = make_cameras(CAMERAS, size=(480, 360), around=(640, 480), arena=arena)
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


def _draw_videos(scene: Scene, folder: Path, on_progress: ShowProgress) -> dict[str, Path]:
    videos = {name: folder / f"{name}.mp4" for name in scene.cameras.names}
    total = len(scene) * len(videos)
    for number, (name, path) in enumerate(videos.items()):
        with VideoWriter(path, scene.rate) as writer:
            for done, image in enumerate(prefetch(scene.draw_frames(name)), 1):
                writer.write(image)
                on_progress("drawing", number * len(scene) + done, total)
    return videos


def _take_labels(scene: Scene, videos: dict[str, Path]) -> Labels:
    """Take the truth of all cameras for labels, those of one camera after those of another."""
    count = len(scene)
    return Labels(
        np.concatenate([scene.truth(name, occluded=False).points for name in videos]),
        scene.skeleton,
        videos=tuple(name for name in videos for _ in range(count)),
        frames=np.tile(np.arange(count), len(videos)),
        images=(None,) * (count * len(videos)),
        individuals=scene.individuals,
        identified=True,
        sources=dict(videos),
    )
