"""The ladder: recordings of animals that are ever harder to tell apart, with the truth.

Every rung is a scene of `mapose.synthetic` (mice that rest, rear, explore, follow each other and
climb over each other, seen from above at 1.2 px/mm, so that a body is about 110 px long without
its tail), and what a network would have found in it. Appearance is drawn, not learned: an
embedding is the animal's own point plus noise of standard deviation 1 in each of 16 directions,
half of its variance changing slowly (posture, light); any two animals are d' apart. It is
measured in every fifth frame, and mixed with the neighbour's where two animals touch.

Development seeds are 0 to 4; seeds from 100 on are held out: nothing is tuned on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import lfilter

from mapose.poses import Poses
from mapose.similarity import find_distances
from mapose.synthetic import Flaws, degrade, make_scene
from mapose.synthetic.arena import Arena
from mapose.synthetic.scene import make_cameras

DEVELOPMENT, HELD_OUT = range(5), range(100, 105)
#: Middle of the body of a mouse in mm; bodies are 93 mm long on average.
BODY_MM, PX_PER_MM = 93.0, 1.2
LENGTH = BODY_MM * PX_PER_MM
#: Mean distance, in px, from which a detection is not this animal: a third of its length.
REACH = 37.0
DIRECTIONS, EVERY = 16, 5
#: Separations d' of two animals in a single look.
APPEARANCE = {"identical": 0.0, "slight": 1.5, "distinct": 5.0}
_CHUNK = 2000

GOOD = Flaws(jitter=2.5, missing=0.05, lost=0.004, spurious=0.02, swapped=0.02, merged=0)
ROUGH = Flaws(jitter=4.0, missing=0.2, lost=0.04, spurious=0.2, swapped=0.06, merged=0)


@dataclass(frozen=True)
class Recipe:
    """What makes a rung as hard as it is.

    Parameters
    ----------
    animals : int
        How many.
    room : float
        Floor for each of them, in squares of a body's length: 7 is sparse, 2 crowded.
    appearance : str, optional
        Key of `APPEARANCE`; no embeddings by default.
    merging : float
        Share of contacts (centres closer than a fifth of a length) in which two are found as
        one, in runs of about eight frames.
    hiding : bool
        Whether there are a shelter and a tunnel, and animals vanish besides: for 10 to 300
        frames, while they move on, so that they come out elsewhere.
    flaws : Flaws
        Of the detections.
    rate : float
        Frames per second.
    """

    animals: int
    room: float
    appearance: str | None = None
    merging: float = 0.0
    hiding: bool = False
    flaws: Flaws = GOOD
    rate: float = 30.0


RECIPES = {
    "2": Recipe(2, 7),
    "4": Recipe(4, 4),
    "2 merging": Recipe(2, 3.5, merging=0.4),
    "4 merging": Recipe(4, 3, merging=0.4),
    "4 rough": Recipe(4, 4, merging=0.4, flaws=ROUGH),
    "4 slow camera": Recipe(4, 4, rate=8),
    "8": Recipe(8, 4),
    "8 crowded": Recipe(8, 2, merging=0.2),
    "8 crowded slight": Recipe(8, 2, "slight", merging=0.2),
    "16": Recipe(16, 4),
    "16 crowded": Recipe(16, 2.5, merging=0.2),
    "2 shelter": Recipe(2, 5, "identical", hiding=True),
    "2 shelter distinct": Recipe(2, 5, "distinct", hiding=True),
    "4 shelter": Recipe(4, 4, "identical", hiding=True),
    "4 shelter slight": Recipe(4, 4, "slight", hiding=True),
    "4 shelter distinct": Recipe(4, 4, "distinct", hiding=True),
    "8 shelter distinct": Recipe(8, 3, "distinct", merging=0.2, hiding=True),
}


@dataclass(frozen=True, eq=False)
class Rung:
    """One recording of the ladder.

    Parameters
    ----------
    name : str
        Key of `RECIPES`.
    truth : Poses
        Named; a hidden animal is missing, a keypoint under another animal is not.
    detections : Poses
        Slots without order.
    embeddings : float32, (F, slots, 16), optional
        Looks of the detections, NaN = not measured.
    individuals : int
        How many animals.
    owners : int64, (F, slots)
        Whose each detection is, -1 = nobody's; not for trackers.
    reach : float, optional
        Mean distance, px, from which a detection is not this animal; None = judge by object
        keypoint similarity.
    """

    name: str
    truth: Poses
    detections: Poses
    embeddings: np.ndarray | None
    individuals: int
    owners: np.ndarray
    reach: float | None = REACH


def make_rung(name: str, *, seed: int = 0, frames: int = 20000) -> Rung:
    """Make a rung of the ladder; the same arguments give the same one."""
    parts = list(stream_rung(name, seed=seed, frames=frames))
    looks = [p.embeddings for p in parts if p.embeddings is not None]
    return replace(
        parts[0],
        truth=_join([p.truth for p in parts]),
        detections=_join([p.detections for p in parts]),
        embeddings=np.concatenate(looks) if looks else None,
        owners=np.concatenate([p.owners for p in parts]),
    )


def stream_rung(
    name: str, *, seed: int = 0, frames: int = 1_000_000, turn: int = 20000
) -> Iterator[Rung]:
    """Make a rung in chunks of 2000 frames, in flat memory.

    What is longer than ``turn`` frames is the same scene played to and fro, with new errors.
    """
    recipe = RECIPES[name]
    scene = _make_scene(recipe, min(frames, turn), seed)
    exact = scene.truth().array
    seen = scene.visibility()
    length = len(exact)
    rng = np.random.default_rng([seed, 7])
    if recipe.hiding:
        exact[_draw_hiding(exact.shape[:2], rng)] = np.nan
    # One or two keypoints that look out of a shelter, or from under another, are no animal yet.
    exact[(np.isfinite(exact[..., 0]) & seen).sum(-1) < 3] = np.nan
    looks = _Looks(recipe, rng) if recipe.appearance is not None else None
    for start in range(0, frames, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, frames))
        # 0 1 2 ... n-1 n-1 ... 1 0 0 1 ...
        row = number % (2 * length)
        row = np.where(row < length, row, 2 * length - 1 - row)
        truth = Poses(exact[row], scene.skeleton, scene.individuals, recipe.rate, frames=number)
        found = _detect(truth, seen[row], recipe, rng)
        owners, closeness, other = _find_owners(truth.points, found.points)
        shown = None if looks is None else looks.draw(owners, closeness, other, number)
        yield Rung(name, truth, found, shown, recipe.animals, owners)


def _make_scene(recipe: Recipe, frames: int, seed: int):
    # 4 : 3, large enough for a shelter.
    area = recipe.animals * recipe.room * BODY_MM**2
    width = max(260.0, (area * 4 / 3) ** 0.5)
    arena = Arena(width, 0.75 * width, shelter=recipe.hiding, door=recipe.hiding)
    size = (round(PX_PER_MM * 1.08 * width), round(PX_PER_MM * 1.08 * 0.75 * width))
    cameras = make_cameras(1, size=size, arena=arena)
    return make_scene(
        recipe.animals,
        frames,
        seed=seed,
        rate=recipe.rate,
        appearance="identical",
        arena=arena,
        cameras=cameras,
    )


def _draw_hiding(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw when animals vanish, bool (F, I): 10 to 300 frames, about every 900 frames."""
    hidden = np.zeros(shape, bool)
    starts, who = np.nonzero(rng.random(shape) < 1 / 900)
    spans = np.exp(rng.uniform(np.log(10), np.log(301), len(starts))).astype(int)
    for start, animal, span in zip(starts, who, spans, strict=True):
        hidden[start : start + span, animal] = True
    return hidden


def _detect(truth: Poses, seen: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> Poses:
    """Find animals as a network does: covered keypoints missed, contacts merged, doubles."""
    array = truth.array.copy()
    # A network guesses one in five of the keypoints that another animal covers.
    array[~seen & (rng.random(seen.shape) < 0.8), :2] = np.nan
    _merge(array, recipe.merging, rng)
    double = _draw_doubles(array, rng)
    both = Poses(np.concatenate([array, double], 1), truth.skeleton, rate=truth.rate)
    found = degrade(both, rng, flaws=recipe.flaws)
    return replace(found, frames=truth.frames)


def _merge(array: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """Make one animal, with keypoints of both, of two in contact, in runs of frames, in place."""
    frames, animals, kinds = array.shape[:3]
    if animals < 2 or share == 0:
        return
    centres = _find_centres(array[..., :2])
    gap = np.linalg.norm(centres[:, :, None] - centres[:, None], axis=-1)
    gap[:, np.arange(animals), np.arange(animals)] = np.inf
    gap = np.where(np.isfinite(gap), gap, np.inf)
    other = gap.argmin(-1)
    # The same draws for eight frames: a network that takes two for one does so for a while.
    run = (np.arange(frames) + rng.integers(8)) // 8
    chosen = rng.random((run[-1] + 1, animals)) < share
    taken = rng.random((run[-1] + 1, animals, kinds)) < 0.5
    frame, who = np.nonzero((gap.min(-1) < LENGTH / 5) & chosen[run])
    partner = other[frame, who]
    # Each pair once, and nobody in two pairs.
    first = (who < partner) & (other[frame, partner] == who)
    frame, who, partner = frame[first], who[first], partner[first]
    swap = taken[run[frame], who][..., None]
    array[frame, who] = np.where(swap, array[frame, partner], array[frame, who])
    array[frame, partner] = np.nan


def _draw_doubles(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Find somebody a second time with half of the keypoints, in 2 % of frames (F, 1, K, 3)."""
    frames, animals = array.shape[:2]
    run = (np.arange(frames) + rng.integers(4)) // 4
    there = rng.random(run[-1] + 1) < 0.02
    who = rng.integers(animals, size=run[-1] + 1)
    double = array[np.arange(frames), who[run]][:, None].copy()
    absent = ~there[run][:, None, None] | (rng.random(double.shape[:3]) < 0.5)
    double[absent] = np.nan
    return double


def _find_centres(points: np.ndarray) -> np.ndarray:
    known = np.isfinite(points[..., :1])
    total = np.where(known, points, 0).sum(-2)
    count = known.sum(-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _find_owners(truth: np.ndarray, found: np.ndarray):
    """Find whose each detection is (-1 = nobody's), how much of it looks like the next, and who.

    The closeness is 0.5 where two animals lie on each other and 0 from half a length on.
    """
    distance = find_distances(found, truth)
    both = np.isfinite(distance)
    # A limb that went to the neighbour counts, but no more than one that is just somewhere else.
    total = np.where(both, np.minimum(distance, 2 * REACH), 0).sum(-1)
    mean = np.where(both.any(-1), total / np.maximum(both.sum(-1), 1), np.inf)
    owner = mean.argmin(-1)
    near = np.take_along_axis(mean, owner[..., None], -1)[..., 0]
    owner = np.where(near < REACH, owner, -1)
    centre = _find_centres(truth)
    gap = np.linalg.norm(centre[:, :, None] - centre[:, None], axis=-1)
    n = gap.shape[1]
    gap[:, np.arange(n), np.arange(n)] = np.inf
    gap = np.where(np.isfinite(gap), gap, np.inf)
    rows = np.arange(len(owner))[:, None]
    closeness = 0.5 * np.clip(1 - gap.min(-1) / (LENGTH / 2), 0, 1)
    return owner, closeness[rows, owner], gap.argmin(-1)[rows, owner]


class _Looks:
    """Draws embeddings chunk by chunk; the slow part of the noise goes on."""

    def __init__(self, recipe: Recipe, rng: np.random.Generator) -> None:
        self.rng = rng
        turned = np.linalg.qr(rng.normal(size=(DIRECTIONS, DIRECTIONS)))[0]
        self.means = APPEARANCE[recipe.appearance] / np.sqrt(2) * turned[: recipe.animals]
        # Slow: forgotten after a second and a half.
        self.keep = np.exp(-EVERY / (1.5 * recipe.rate))
        self.state = rng.normal(size=self.means.shape)

    def draw(self, owners, closeness, other, number) -> np.ndarray:
        looks = np.full((*owners.shape, DIRECTIONS), np.nan, np.float32)
        rows = np.flatnonzero(number % EVERY == 0)
        fresh = self.rng.normal(size=(len(rows), *self.means.shape))
        push = np.sqrt(1 - self.keep**2)
        slow, _ = lfilter([push], [1, -self.keep], fresh, axis=0, zi=self.keep * self.state[None])
        self.state = slow[-1]
        own, next_to, share = owners[rows], other[rows], closeness[rows][..., None]
        line = np.arange(len(rows))[:, None]
        picture = self.means + np.sqrt(0.5) * slow
        mixed = (1 - share) * picture[line, own] + share * picture[line, next_to]
        # What is nobody's looks like nothing that is known.
        mixed = np.where(own[..., None] < 0, 3 * self.rng.normal(size=mixed.shape), mixed)
        mixed += np.sqrt(0.5) * self.rng.normal(size=mixed.shape)
        looks[rows] = mixed
        return looks


def _join(parts: list[Poses]) -> Poses:
    return replace(
        parts[0],
        array=np.concatenate([p.array for p in parts]),
        frames=np.concatenate([p.frames for p in parts]),
    )
