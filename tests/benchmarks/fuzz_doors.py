"""The readers that `fuzz_readers.py` tries: each is given a path, and a folder to write to.

A new reader belongs into `READERS`, and a specimen of what it reads into `fuzz_specimens.py` or
`fuzz_workings.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Of the models that are drawn for specimens.
NETWORK = {"channels": 1, "keypoints": 2, "edges": 1, "widths": [8, 8, 8], "depths": [0, 0, 0]}


def _read_labels(path: Path, out: Path) -> None:
    from mapose.io import read_labels

    str(read_labels(path))


def _read_images(path: Path, out: Path) -> None:
    from mapose.io import read_embedded_images, read_labels

    for _ in read_embedded_images(path, read_labels(path)):
        pass


def _read_own(path: Path, out: Path) -> None:
    from mapose.io.store import PosesFile

    with PosesFile(path) as file:
        file.read_poses()
        file.read_peaks()
        file.read_support()
        file.read_doubts()
        file.read_provenance()
        file.read_cameras()


def _read_project(path: Path, out: Path) -> None:
    from mapose.project import Project

    # Opening a project puts in order what was interrupted: that may be written, in a copy.
    project = Project.load(shutil.copytree(path, out / "project", dirs_exist_ok=True))
    project.load_labels()
    for name in project.videos:
        project.find_video(name)


def _read_proposals(path: Path, out: Path) -> None:
    from mapose.project import Project
    from mapose.project.proposals import load_proposals

    load_proposals(Project.load(path))


def _import(path: Path, out: Path) -> None:
    from mapose.project import import_project

    project, report = import_project(out / "project", path)
    str(report)
    project.load_labels()


def _call(module: str, name: str) -> Callable[[Path, Path], None]:
    def read(path: Path, out: Path) -> None:
        function: Any = sys.modules.get(module) or __import__(module, fromlist=["_"])
        for part in name.split("."):
            function = getattr(function, part)
        str(function(path))

    return read


def _read_stills(path: Path, out: Path) -> None:
    from mapose.io import Video

    with Video(path, gray=True) as video:
        for image in video:
            assert image is None or image.ndim == 2


def _read_crops(path: Path, out: Path) -> None:
    from mapose.project import Project
    from mapose.project.crops import load_crops

    load_crops(Project.load(path))


def _read_times(path: Path, out: Path) -> None:
    from mapose.multiview.timing import read_times

    read_times(path, {"cam1": 4, "cam2": 4}, rate=25)


def _read_sessions(path: Path, out: Path) -> None:
    from mapose.cluster.sessions import find_sessions
    from mapose.cluster.steps import Ledger, Step

    for session in find_sessions(path):
        name = session.folder.name
        made = session.folder / f"{name}.mapose.h5"
        step = Step("track", (session.folder / "cam1.mp4",), (made,), {"n": 2}, lambda *_: None)
        ledger = Ledger(Path(shutil.copytree(session.folder, out / "project", dirs_exist_ok=True)))
        ledger.find_reason(step)
        ledger.do(step, lambda done, total: None)


def _read_submissions(path: Path, out: Path) -> None:
    from mapose.cluster.submitting import list_submissions, resubmit

    place = Path(shutil.copytree(path, out / "project", dirs_exist_ok=True))
    for found in list_submissions(place):
        str(found)
    queue = place / "bin" / "sbatch"
    queue.parent.mkdir()
    queue.write_text("#!/bin/sh\necho 1\n")
    queue.chmod(0o755)
    with Patched(os, "environ", {**os.environ, "PATH": str(queue.parent)}):
        resubmit(next((place / "jobs").iterdir()))


def _read_card(path: Path, out: Path) -> None:
    from mapose.zoo.cards import describe_model, read_licence, verify_checksums

    read_licence(path)
    describe_model(path)
    verify_checksums(path)


def _get(path: Path, out: Path) -> None:
    from mapose.zoo.getting import get_model

    os.environ["MAPOSE_ZOO"] = str(out / "project")
    get_model(path, name="got", force=True)


def _read_film(path: Path, out: Path) -> None:
    from mapose.io import Video
    from mapose.io.recordings import fingerprint

    fingerprint(path)
    with Video(path) as video:
        images = list(video)
        assert len(images) == len(video) and video.rate > 0
        list(video.iterate(len(video) // 2))
        video.read(-1)


def _read_info(path: Path, out: Path) -> None:
    from mapose.project.overview import describe

    str(describe(Path(shutil.copytree(path, out / "project", dirs_exist_ok=True))))


def _read_info_of_file(path: Path, out: Path) -> None:
    from mapose.files import read_mark
    from mapose.project.overview import describe

    str(describe(path))
    read_mark(path)


def _read_chunks(path: Path, out: Path) -> None:
    from mapose.analysis import pipeline

    job = {"video": "x", "model": "y"}
    folder = Path(shutil.copytree(path, out / "project", dirs_exist_ok=True))
    with Patched(pipeline, "CHUNK", 6):
        parts = pipeline._Parts(folder, job, made="this", force=False)
        list(parts.check(12, marked=True))
        assert all(len(parts.read_marks(n)) == 6 for n in range(parts.count))


def _join_live(path: Path, out: Path) -> None:
    from mapose.live.results import join_parts

    folder = out / "project"
    shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
    join_parts(folder / f"{path.stem}.mapose.h5")


def _read_snapshot(path: Path, out: Path) -> None:
    from mapose.training.snapshots import load_snapshot

    load_snapshot(path, 4)


def _resume_training(path: Path, out: Path) -> None:
    from mapose.config import load_settings
    from mapose.data import Augmentation
    from mapose.models.network import build_network
    from mapose.project import Project
    from mapose.training.loop import Trainer
    from mapose.training.runs import find_run
    from mapose.training.snapshots import list_snapshots, read_errors

    place = Path(shutil.copytree(path, out / "project", dirs_exist_ok=True))
    folder, _ = find_run(Project.load(place), "mine")
    read_errors(folder)
    list_snapshots(folder)
    network = build_network(**NETWORK)
    settings = load_settings("small", overrides=["train.steps=12"]).train
    data: Any = None
    options: Any = {"edges": [[0, 1]], "settings": settings, "view": 64}
    trainer = Trainer(network, data, folder=folder, augmentation=Augmentation(), **options)
    trainer.load()
    str((trainer.share, trainer.is_done, trainer.chosen, trainer.losses))


def _read_timelines(path: Path, out: Path) -> None:
    from mapose.results.timelines import find_statistic, load_timelines
    from mapose.results.windows import Windows

    folder = shutil.copytree(path.parent, out / "project", dirs_exist_ok=True)
    there = Path(folder) / path.name
    stat = path.stat()  # the cache knows the file by its time
    os.utime(there, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with Windows(there) as windows:
        found = load_timelines(windows)
    found.levels[0][find_statistic("identity")].mean()


def _read_jobs(path: Path, out: Path) -> None:
    from mapose.app.jobs import Jobs
    from mapose.app.recent import load_recent

    load_recent(path / "recent.json")
    for job in Jobs(path).list():
        str(job.to_dict())


class Patched:
    """A value of a module for a while."""

    def __init__(self, module: Any, name: str, value: object) -> None:
        self._kept = (module, name, getattr(module, name))
        setattr(module, name, value)

    def __enter__(self) -> None:
        """Nothing more to do."""

    def __exit__(self, *fault: object) -> None:
        setattr(*self._kept)


READERS: dict[str, Callable[[Path, Path], None]] = {
    "read": _call("mapose.io", "read"),
    "support": _call("mapose.io", "read_support"),
    "mapose": _read_own,
    "labels": _read_labels,
    "images": _read_images,
    "import": _import,
    "project": _read_project,
    "proposals": _read_proposals,
    "edits": _call("mapose.edits", "load_edits"),
    "settings": _call("mapose.config", "load_settings"),
    "model": _call("mapose.models", "Model.load"),
    "appearance": _call("mapose.recognition.appearance", "load_appearance"),
    "gallery": _call("mapose.recognition.gallery", "load_gallery"),
    "cameras": _call("calibration", "read_cameras"),
    "group": _call("calibration", "CameraGroup.load"),
    "board": _call("calibration", "read_board"),
    "image": _call("mapose.io", "read_image"),
    "zones": _call("mapose.io.zones", "read_zones"),
    "stills": _read_stills,
    "crops": _read_crops,
    "times": _read_times,
    "sessions": _read_sessions,
    "submissions": _read_submissions,
    "card": _read_card,
    "get": _get,
    "topdown": _call("mapose.models", "open_model"),
    "snapshot": _read_snapshot,
    "film": _read_film,
    "info": _read_info,
    "info of a file": _read_info_of_file,
    "chunks": _read_chunks,
    "join": _join_live,
    "resume": _resume_training,
    "timelines": _read_timelines,
    "jobs": _read_jobs,
}
