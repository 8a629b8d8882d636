"""Makes the model ``drawn-mice``: python -m mapose.zoo.drawn_mice FOLDER.

Mice of `mapose.synthetic`, seen from above and by cameras around them: one to five of them, of
every coat, in rooms of many sizes, 12 frames of each room, half of them from above, half of them
moments at which two mice are closest. Seeds of the rooms begin at `FIRST_SEED`, and their sizes are
drawn, so that no scene of the demo or of a test is among them. Takes about half an hour on two
cores.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from mapose.arrays import Ints
from mapose.files import write_atomically, write_yaml
from mapose.io import write_image
from mapose.labels import Labels
from mapose.models import Model, save_tensors
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.synthetic import Arena, Scene, make_cameras, make_scene
from mapose.synthetic.bodies import SKELETON
from mapose.synthetic.coats import Appearance
from mapose.training.loop import Progress
from mapose.training.training import train
from mapose.zoo.cards import CARD
from mapose.zoo.catalogue import find_model

#: Seeds from here on are the rooms' own.
FIRST_SEED = 1000
ROOMS, FRAMES, LABELLED, MOST = 130, 300, 12, 5
_LOOKS: tuple[Appearance, ...] = ("similar", "distinct", "identical")
_CARD = """---
license: BSD-3-Clause
---

# drawn-mice

Mice drawn by `mapose.synthetic`, seen from above and from the sides, one to five in a room. For the
demo, and to start from when you try things on drawn scenes; on real animals it is of no use.

- made by `python -m mapose.zoo.drawn_mice`, from {rooms} rooms and {labels} labelled frames;
  {begun}
- test frames: mean error {mean:.2f} px, OKS mAP {map:.3f}
"""


def make_room(number: int) -> Scene:
    """Make a room with mice: its size, the number of mice and their looks are drawn by number."""
    rng = np.random.default_rng([FIRST_SEED, number])
    # Not the default's 400 x 300 mm.
    size = rng.uniform(0.7, 0.96) if rng.random() < 0.5 else rng.uniform(1.04, 1.3)
    arena = Arena(width=400 * size, depth=300 * size * rng.uniform(0.95, 1.05))
    return make_scene(
        int(rng.choice([1, 2, 3, 4, MOST], p=[0.1, 0.2, 0.35, 0.25, 0.1])),
        FRAMES,
        seed=FIRST_SEED + number,
        appearance=_LOOKS[int(rng.choice(3, p=[0.6, 0.2, 0.2]))],
        arena=arena,
        cameras=make_cameras(
            int(rng.integers(2, 6)), size=(480, 360), around=(640, 480), arena=arena
        ),
    )


def choose_frames(scene: Scene, count: int) -> Ints:
    """Choose frames of a scene, half of them moments at which two animals are closest."""
    rng = np.random.default_rng([scene.seed, 9])
    middle = scene.truth_3d().array[..., :2].mean(2)
    pairs = list(combinations(range(middle.shape[1]), 2))
    gaps = [np.linalg.norm(middle[:, a] - middle[:, b], axis=-1) for a, b in pairs]
    # The nearest moment of each of a few stretches: moments in a row look alike.
    near = [
        int(part[np.min(gaps, axis=0)[part].argmin()])
        for part in np.array_split(np.arange(len(scene)), count // 2)
        if pairs
    ]
    others = np.setdiff1d(np.arange(len(scene)), near)
    return np.sort(np.append(near, rng.choice(others, count - len(near), False))).astype(np.int64)


def choose_views(scene: Scene, count: int) -> list[str]:
    """Choose the camera of each of so many frames: every other one that from above."""
    around = scene.cameras.names[1:]
    return [around[i // 2 % len(around)] if i % 2 else "top" for i in range(count)]


def draw_labels(folder: Path, rooms: int) -> Labels:
    """Draw labelled frames of many rooms into a folder."""
    points, videos, frames, images = [], [], [], []
    for number in range(rooms):
        scene = make_room(number)
        chosen = choose_frames(scene, LABELLED)
        views = choose_views(scene, LABELLED)
        seen = {view: scene.truth(view, occluded=False).points for view in set(views)}
        truth = np.stack([seen[v][f] for f, v in zip(chosen, views, strict=True)])
        padded = np.full((LABELLED, MOST, *truth.shape[2:]), np.nan, np.float32)
        padded[:, : truth.shape[1]] = truth
        points.append(padded)
        for frame, view in zip(chosen, views, strict=True):
            path = folder / f"room{number:03d}-{view}" / f"frame{frame:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():  # drawn by a run that was stopped
                write_image(scene.draw(int(frame), view), path)
            images.append(path)
            videos.append(path.parent.name)
            frames.append(int(frame))
    names = tuple(f"mouse{i + 1}" for i in range(MOST))
    return Labels(
        np.concatenate(points), SKELETON, tuple(videos), np.array(frames), tuple(images), names
    )


def make_model(
    folder: Path, work: Path, *, rooms: int = ROOMS, steps: int = 4000, init: str | None = None
) -> Model:
    """Draw rooms, train on them, and write the model with its card.

    Parameters
    ----------
    folder : Path
        Receives the model; weights in half precision, to be small.
    work : Path
        A new folder for the project that it is trained in.
    rooms, steps : int
        How much to draw and to train.
    init : str, optional
        A model to go on from. The one that comes with mapose went on for 3000 steps from one that
        had learned for 5000 steps on views from above.
    """
    project = Project.create(work / "project", SKELETON, individuals=MOST)
    import_labels(project, draw_labels(work / "frames", rooms))
    model = train(
        Project.load(work / "project"),
        preset="small",
        overrides=[
            *(f"train.steps={steps}", "train.batch=8", "train.test=0.05", "augment.rotation=180"),
            *(["train.rate=1e-3"] if init else []),
        ],
        init=init and find_model(init),
        on_progress=_show,
    )
    model.save(folder)
    halves = {
        name: value.half() if value.dtype == torch.float32 else value
        for name, value in model.network.state_dict().items()
    }
    save_tensors(halves, folder / "weights.safetensors")
    record = {key: model.record[key] for key in ("mapose", "torch", "steps", "settings", "metrics")}
    description = {"schema": 1, **model.describe(), "split": {}, "record": record}
    write_yaml(description, folder / "model.yaml")
    test = model.record["metrics"]["test"]
    card = _CARD.format(
        rooms=rooms,
        labels=rooms * LABELLED,
        begun=f"{steps} steps " + ("after an older one" if init else "from nothing"),
        mean=test["mean"],
        map=test["map"],
    )
    with write_atomically(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")
    return model


def _show(p: Progress) -> None:
    sys.stderr.write(f"\rstep {p.step} of {p.steps}, {p.note}  ")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="receives the model")
    parser.add_argument("--work", type=Path, default=Path("drawn-mice-work"), help="new folder")
    parser.add_argument("--rooms", type=int, default=ROOMS)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--init", help="a model to go on from, such as zoo:drawn-mice")
    given = parser.parse_args()
    make_model(given.folder, given.work, rooms=given.rooms, steps=given.steps, init=given.init)
