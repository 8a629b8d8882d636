"""More specimens for `fuzz_readers.py`: videos, sessions, and what mapose leaves in its folders.

Such files are of our own making, but disks lose what they took, people edit, and a folder may come
from anybody.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import sleap_io as sio
import torch
import yaml
from fuzz_doors import NETWORK, Patched
from fuzz_specimens import (
    SKELETON,
    draw_film,
    draw_picture,
    draw_poses,
    list_frames,
    make_coco,
    make_model,
    make_project,
    specimen,
)

from mapose.analysis import pipeline
from mapose.config import load_settings
from mapose.data import Augmentation
from mapose.io import VideoWriter, save, write, write_image
from mapose.models.network import build_network
from mapose.project import Project
from mapose.results.timelines import load_timelines
from mapose.results.windows import Windows
from mapose.training.loop import Trainer
from mapose.zoo.cards import write_card, write_checksums


# ---------------------------------------------------------------------------- of other tools
@specimen("r.nwb", "read", "info of a file")
def _make_nwb(folder: Path) -> None:
    poses = draw_poses(3)
    write(replace(poses, identity=np.ones(poses.array.shape[:2])), folder / "r.nwb", "nwb")


@specimen("r.nwb", "read", "info of a file")
def _make_nwb_of_others(folder: Path) -> None:
    poses = draw_poses()
    one = replace(poses, array=poses.array[:, :1], individuals=("ann",))
    write(one, folder / "r.nwb", "nwb")
    with h5py.File(folder / "r.nwb", "r+") as file:
        for name in set(file.attrs) - {"namespace", "neurodata_type", "nwb_version"}:
            del file.attrs[name]


@specimen("l.nwb", "labels", "import")
def _make_nwb_labels(folder: Path) -> None:
    draw_film(folder / "clip.mp4")
    video = sio.Video.from_filename(str(folder / "clip.mp4"))
    _, skeleton, frames = list_frames()
    frames = [sio.LabeledFrame(video, f.frame_idx, f.instances) for f in frames]
    sio.save_nwb(sio.Labels(frames, videos=[video], skeletons=[skeleton]), str(folder / "l.nwb"))


@specimen("points3d.h5", "read", "info of a file")
def _make_sleap_points(folder: Path) -> None:
    with h5py.File(folder / "points3d.h5", "w") as file:
        file["tracks"] = np.random.default_rng(0).uniform(5, 40, (6, 2, 2, 3))


@specimen("r.json", "labels", "info of a file")
def _make_coco_poses(folder: Path) -> None:
    write(draw_poses(), folder / "r.json", "coco")


@specimen(
    "set", "labels", "import",
    parts=("set/train/_annotations.coco.json", "set/valid/_annotations.coco.json"),
)  # fmt: skip
def _make_coco_in_parts(folder: Path) -> None:
    make_coco(folder)
    for part in ("train", "valid"):
        place = folder / "set" / part
        place.mkdir(parents=True)
        (folder / "l.json").rename(place / "_annotations.coco.json")
        for i in range(3):
            write_image(draw_picture(i), place / f"a{i}.png")
        make_coco(folder)


# ------------------------------------------------------------------------------------- videos
def _make_film(suffix: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        draw_film(folder / f"film{suffix}")

    make.__name__ = f"_make_film_{suffix[1:]}"
    return make


for _suffix in (".mp4", ".mkv", ".avi", ".mov"):
    specimen(f"film{_suffix}", "film", "info of a file")(_make_film(_suffix))


@specimen("film.ts", "film", "info of a file")
def _make_film_ts(folder: Path) -> None:
    _copy_film(folder / "film.ts", "mpeg2video", "yuv420p")


@specimen("film.avi", "film")
def _make_film_of_jpegs(folder: Path) -> None:
    _copy_film(folder / "film.avi", "mjpeg", "yuvj420p")


def _copy_film(path: Path, codec: str, format: str) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, format
        for i in range(6):
            frame = av.VideoFrame.from_ndarray(draw_picture(i), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# ------------------------------------------------------------------- sessions of many cameras
@specimen("times.csv", "times")
def _make_times(folder: Path) -> None:
    rows = [f"{camera},{i / 25}" for i in range(4) for camera in ("cam1", "2")]
    (folder / "times.csv").write_text("\n".join(["cam_id,frame_time", *rows]) + "\n")


@specimen("drops.csv", "times")
def _make_drops(folder: Path) -> None:
    (folder / "drops.csv").write_text("camera,dropped\ncam1,2\ncam2,0\ncam2,3\n")


@specimen("trip", "sessions", parts=("trip/session.yaml", "trip/monday/steps.json"))
def _make_session(folder: Path) -> None:
    monday = folder / "trip" / "monday"
    monday.mkdir(parents=True)
    for name in ("cam1.mp4", "cam2.mp4"):
        draw_film(monday / name)
    said = {"model": "../m", "individuals": 2, "export": ["csv"], "cameras": ["cam1", "cam2"]}
    (folder / "trip" / "session.yaml").write_text(yaml.safe_dump(said))
    done = {"cam1.mp4": "1234", "model": "abc"}
    steps = {
        "track": {"inputs": done, "settings": {"n": 2}, "outputs": {"monday.mapose.h5": "12"}},
        "triangulate": {"begun": True},
    }
    (monday / "steps.json").write_text(json.dumps(steps))


@specimen("p", "submissions", parts=("p/jobs/20260101-000000-analyze/manifest.json",))
def _make_submission(folder: Path) -> None:
    place = folder / "p" / "jobs" / "20260101-000000-analyze"
    place.mkdir(parents=True)
    manifest: dict[str, Any] = {"kind": "analyze", "words": ["analyze", "m", "--individuals=2"]}
    manifest |= {"items": [["/rec/a.mp4", "/rec/a.mapose.h5"], ["/rec/b.mp4", "b.mapose.h5"]]}
    manifest |= {"attempts": [{"job": "", "names": ["/rec/a.mp4"], "size": 1}], "array": 2}
    manifest |= {"sbatch": {"time": "1:00"}, "setup": "module load cuda", "model": "0123456789"}
    (place / "manifest.json").write_text(json.dumps(manifest))


_JOB = "p/jobs/20260101-000000-train"


@specimen("p", "jobs", parts=(f"{_JOB}/job.json", f"{_JOB}/progress.json", "p/recent.json"))
def _make_jobs(folder: Path) -> None:
    place = folder / _JOB
    place.mkdir(parents=True)
    request = {"kind": "train", "words": ["train", "p"], "title": "a", "heavy": True}
    (place / "job.json").write_text(json.dumps(request))
    (place / "progress.json").write_text(json.dumps({"what": "training", "done": 1, "total": 9}))
    (folder / "p" / "recent.json").write_text(json.dumps([str(folder / "p")]))


# ----------------------------------------------------------------------- projects and models
@specimen("p", "crops", "info", parts=("p/crops.csv",))
def _make_crops(folder: Path) -> None:
    make_project(folder)
    (folder / "p" / "crops.csv").write_text("video,left,top,width,height\nclip,1,2,30,40\n")


@specimen(
    "p", "info",
    parts=("p/mapose.yaml", "p/models/mine/model.yaml", "p/labels/clip/labels.csv"),
)  # fmt: skip
def _make_whole_project(folder: Path) -> None:
    make_project(folder)
    make_model(folder)
    (folder / "p" / "models").mkdir(exist_ok=True)
    (folder / "m").rename(folder / "p" / "models" / "mine")


@specimen("m", "card", "info", "get",
          parts=("m/model.yaml", "m/README.md", "m/README.md", "m/SHA256SUMS"))  # fmt: skip
def _make_model_of_a_zoo(folder: Path) -> None:
    make_model(folder)
    write_card(folder / "m", licence="MIT")
    write_checksums(folder / "m")


@specimen("m.zip", "get")
def _make_zipped_model(folder: Path) -> None:
    _make_model_of_a_zoo(folder)
    with zipfile.ZipFile(folder / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((folder / "m").iterdir()):
            archive.write(file, f"m/{file.name}")


@specimen("m", "snapshot", parts=("m/model.yaml", "m/snapshots/step-4.safetensors"))
def _make_snapshots(folder: Path) -> None:
    from mapose.training.snapshots import save_snapshot

    make_model(folder)
    save_snapshot(folder / "m", 4, build_network(**NETWORK).state_dict())


@specimen("m", "topdown", parts=("m/model.yaml", "m/detector/config.json", "m/pose/config.json",
                                 "m/detector/preprocessor_config.json",
                                 "m/pose/model.safetensors"))  # fmt: skip
def _make_top_down(folder: Path) -> None:
    from tests.models.test_topdown import QUADRUPEDS, save_detector, save_pose

    save_pose(folder / "m" / "pose")
    save_detector(folder / "m" / "detector")
    (folder / "m" / "model.yaml").write_text(yaml.safe_dump(dict(QUADRUPEDS)))


@specimen("p", "resume",
          parts=("p/models/mine/state.yaml", "p/models/mine/state.yaml", "p/models/mine/run.yaml",
                 "p/models/mine/training.csv", "p/models/mine/step-4.safetensors"))  # fmt: skip
def _make_training(folder: Path) -> None:
    Project.create(folder / "p", SKELETON, individuals=2)
    place = folder / "p" / "models" / "mine"
    place.mkdir(parents=True)
    settings = load_settings("small", overrides=["train.steps=12"])
    text = yaml.safe_dump({**settings.model_dump(mode="json"), "preset": "small", "labels": "abc"})
    (place / "run.yaml").write_text(text)
    torch.manual_seed(0)
    network = build_network(**NETWORK)
    data: Any = None
    trainer = Trainer(
        network, data, folder=place, edges=np.array([[0, 1]]), settings=settings.train,
        augmentation=Augmentation(), view=64,
    )  # fmt: skip
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    trainer.optimizer.step()
    trainer.step, trainer.seconds, trainer.best, trainer.best_step = 4, 2.5, 3.0, 4
    trainer.losses = [np.ones(4)]
    trainer.errors = (2.0, 3.0)
    trainer._log(np.ones(4))
    trainer.save()


# ------------------------------------------------------------------------------------ results
@specimen("r.parts", "chunks", parts=("r.parts/job.json", "r.parts/000000.marks.npy",
                                      "r.parts/000001.mapose.h5"))  # fmt: skip
def _make_chunks(folder: Path) -> None:
    poses = draw_poses(frames=12)
    with Patched(pipeline, "CHUNK", 6):
        parts = pipeline._Parts(
            folder / "r.parts", {"video": "x", "model": "y"}, made="this", force=False
        )
        for n in range(2):
            part = replace(
                poses, array=poses.array[6 * n : 6 * n + 6], frames=np.arange(6 * n, 6 * n + 6)
            )
            parts.add(part, None, np.ones((6, 2, 2), np.float32))


@specimen("r.parts", "join", parts=("r.parts/000000.mapose.h5", "r.parts/000001.mapose.h5"))
def _make_live_parts(folder: Path) -> None:
    (folder / "r.parts").mkdir()
    for n in range(2):
        poses = draw_poses()
        poses = replace(poses, frames=np.arange(6 * n, 6 * n + 6))
        save(poses, folder / "r.parts" / f"{n:06d}.mapose.h5", provenance={"cameras": ""})


@specimen("r.mapose.h5", "timelines", parts=("cache/r.timelines.npz",))
def _make_timelines(folder: Path) -> None:
    save(draw_poses(), folder / "r.mapose.h5")
    with Windows(folder / "r.mapose.h5") as windows:
        load_timelines(windows)


@specimen("r.mapose.h5", "info of a file")
def _make_told_result(folder: Path) -> None:
    save(draw_poses(), folder / "r.mapose.h5", provenance={"made": "x", "source": "a.mp4"})


@specimen("drawn.mp4", "info of a file")
def _make_drawn(folder: Path) -> None:
    with VideoWriter(folder / "drawn.mp4", 25, made="mapose render a.mp4") as writer:
        for i in range(4):
            writer.write(draw_picture(i))
