"""Crops around animals for the second stage, and poses as wrong as a first stage's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Image, Ints, Singles
from mapose.data.augment import OUTSIDE, Augmentation, draw_view, limit_rotation
from mapose.data.dataset import prepare_image
from mapose.grid import round_up, to_cells, to_pixels
from mapose.similarity import find_lengths

#: Side of a crop relative to the length of a long animal; what crops are reduced to, pixels.
_ROOM, _SIDE = 1.5, 96
#: Spread of a keypoint that the network is told, crop pixels.
_SPREAD = 3
#: A training crop keeps the animal so near its middle: the middle of a pose is known well.
_SHIFT = 0.12
#: Patches that training crops are drawn from, relative to the crop: turned, shrunk and shifted.
_PATCH = 2.0
#: Part of the crops whose told pose is what the first stage found, right or wrong; the others'
#: poses are simulated.
_FOUND = 0.5
#: A keypoint that is told is right if it is no further off, relative to the animal's length.
_RIGHT = 0.1
#: Fewer scores of a kind than these say nothing.
_FEW = 20


def find_crop_size(
    points: Singles, *, factor: float | None = None, side: int | None = None
) -> tuple[float, int]:
    """Find scale and side of the crops around animals.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Labelled poses in image pixels; NaN = missing.
    factor : float, optional
        Image pixels per crop pixel, where that is settled.
    side : int, optional
        Of a crop, crop pixels, where that is.

    Returns
    -------
    factor : float
        So that a long animal with its surroundings fills the side, or else about 96 pixels.
    side : int
        Of a crop, crop pixels; a multiple of 32.

    Examples
    --------
    >>> find_crop_size(np.array([[[0, 0], [120, 50]]], np.float32))
    (2, 96)
    >>> find_crop_size(np.array([[[0, 0], [120, 50]]], np.float32), side=64)
    (3, 64)
    """
    lengths = find_lengths(points)
    long = float(np.nanquantile(lengths, 0.9)) if np.isfinite(lengths).any() else 64.0
    wide = _ROOM * long
    if factor is None:
        wanted = wide / (side or _SIDE)
        factor = max(1, round(wanted)) if wanted > 0.75 else 0.5 if wanted > 0.375 else 0.25
    return factor, side or int(np.clip(32 * round(wide / factor / 32), 64, 256))


@dataclass(frozen=True)
class CropShape:
    """What a crop is like.

    Parameters
    ----------
    side : int
        Crop pixels.
    factor : float
        Image pixels per crop pixel.
    channels : int
        As for `prepare_image`.
    """

    side: int
    factor: float
    channels: int

    def cut_all(self, image: Image, middles: AnyFloats) -> tuple[list[Image], list[Floats]]:
        """Cut squares out of one image, as `cut` does.

        Parameters
        ----------
        image : uint8, (H, W) or (H, W, 3)
            Whole image.
        middles : float, (N, 2)
            Where, image pixels.
        """
        area = len(middles) * (self.side * self.factor) ** 2
        if self.factor <= 1 or area < image.shape[0] * image.shape[1]:
            crops, corners = zip(*(self.cut(image, m) for m in middles), strict=True)
            return list(crops), list(corners)
        # Where crops overlap much, the image is shrunk once.
        small = prepare_image(image, factor=self.factor, channels=self.channels)
        plain = replace(self, factor=1)
        small = small[..., 0] if self.channels == 1 else small
        crops, corners = zip(
            *(plain.cut(small, to_cells(m, self.factor)) for m in middles), strict=True
        )
        return list(crops), list(corners)

    def cut(self, image: Image, middle: AnyFloats) -> tuple[Image, Floats]:
        """Cut a square out of an image.

        Parameters
        ----------
        image : uint8, (H, W) or (H, W, 3)
            Whole image.
        middle : float, (2,)
            Where, image pixels.

        Returns
        -------
        crop : uint8, (side, side, C)
            What lies outside the image is grey. The pixels are those of the whole image as
            `prepare_image` gives it, but for the borders where it is enlarged or ends.
        corner : float64, (2,)
            Pixel of the prepared image that is the crop's first.
        """
        step = max(1, int(self.factor))  # a crop begins where a square of pixels does
        wide = int(self.side * self.factor)
        corner = np.rint((np.asarray(middle) + 0.5 - wide / 2) / step).astype(int) * step
        size = np.array(image.shape[1::-1])
        low, end = np.clip(corner, 0, size), np.clip(corner + wide, 0, size)
        (left, top), (right, below) = low - corner, end - corner
        whole = np.full((wide, wide, *image.shape[2:]), OUTSIDE, np.uint8)
        whole[top:below, left:right] = image[low[1] : end[1], low[0] : end[0]]
        crop = prepare_image(whole, factor=self.factor, channels=self.channels)
        return crop, corner / self.factor

    def to_crop(self, points: AnyFloats, corner: Floats) -> Singles:
        """Turn image pixels, float (..., 2), into pixels of the crop with this corner."""
        return np.asarray(to_cells(points, self.factor) - corner, np.float32)

    def to_image(self, points: AnyFloats, corner: Floats) -> Singles:
        """Turn pixels of a crop, float (..., 2), into image pixels."""
        return np.asarray(to_pixels(points + corner, self.factor), np.float32)


def find_middle(points: AnyFloats) -> Floats:
    """Find the middle of the boxes around poses.

    Parameters
    ----------
    points : float, (..., K, 2)
        Pixels; NaN = missing.

    Returns
    -------
    float64, (..., 2)
        NaN where nothing is.
    """
    there: Bools = np.isfinite(points[..., :1]) & np.isfinite(points[..., 1:])
    low = np.where(there, points, np.inf).min(-2)
    high = np.where(there, points, -np.inf).max(-2)
    found = there.any(-2)
    middle = (np.where(found, low, 0) + np.where(found, high, 0)) / 2
    return np.where(found, middle, np.nan)


def draw_pose(points: AnyFloats, side: int, *, score: AnyFloats | None = None) -> Image:
    """Draw the pose that the network is told, one channel per keypoint.

    Parameters
    ----------
    points : float, (K, 2)
        Crop pixels; NaN = not found.
    side : int
        Of the crop.
    score : float, (K,), optional
        How sure each keypoint is, 0 to 1, by which it is drawn weaker.

    Returns
    -------
    uint8, (side, side, K)
        A Gaussian at the nearest pixel, 128 (seen as 0) elsewhere.
    """
    drawn = np.full((side, side, len(points)), OUTSIDE, np.uint8)
    reach = len(_STAMP) // 2
    strength = np.ones(len(points)) if score is None else np.clip(score, 0, 1)
    for k, (x, y) in enumerate(points):
        if not (-0.5 <= x < side - 0.5 and -0.5 <= y < side - 0.5):
            continue
        column, row = round(float(x)), round(float(y))
        left, top = max(0, column - reach), max(0, row - reach)
        stamp = _STAMP[top - row + reach :, left - column + reach :]
        part = drawn[top : row + reach + 1, left : column + reach + 1, k]
        part[:] = OUTSIDE + strength[k] * stamp[: part.shape[0], : part.shape[1]]
    return drawn


def _make_stamp() -> Floats:
    gap = np.arange(-3 * _SPREAD, 3 * _SPREAD + 1)
    bell = np.exp(-0.5 * (gap / _SPREAD) ** 2)
    return np.asarray(127 * bell[:, None] * bell)


_STAMP = _make_stamp()


@dataclass(frozen=True)
class PoseErrors:
    """How wrong a first stage is; shares of poses or of keypoints.

    Parameters
    ----------
    spread : float
        Standard deviation of a keypoint, relative to the animal's length; that of one in four is
        four times as large.
    missing : float
        Keypoints that are not found.
    stray : float
        Keypoints found anywhere near the animal.
    swapped : float
        Keypoints that lie on another animal that is near.
    mirrored : float
        Poses with left and right mixed up, in part.
    merged : float
        Poses one end of which is another animal's.
    torn : float
        Poses of which only a part was found.
    nobody : float
        Poses where no animal is.
    """

    spread: float = 0.02
    missing: float = 0.08
    stray: float = 0.03
    swapped: float = 0.15
    mirrored: float = 0.1
    merged: float = 0.4
    torn: float = 0.15
    nobody: float = 0.05


def simulate_pose(
    poses: Singles,
    one: int,
    *,
    flip_order: Ints,
    rng: np.random.Generator,
    errors: PoseErrors | None = None,
) -> Singles:
    """Make of a labelled pose one as wrong as a first stage's.

    Parameters
    ----------
    poses : float32, (I, K, 2)
        Labelled animals of one image, px; NaN = missing.
    one : int
        The animal that is meant. Most of its pose stays its own.
    flip_order : int64, (K,)
        Partner of each keypoint on the other side of the animal.
    rng : numpy.random.Generator
        Source of all randomness.
    errors : PoseErrors, optional
        How wrong.

    Returns
    -------
    float32, (K, 2)
        NaN = not found; at least one keypoint is there, if the animal has one.
    """
    errors = errors or PoseErrors()
    pose = poses[one].copy()
    count = len(pose)
    length = _find_length(pose)
    other = _find_neighbour(poses, one, length)
    if rng.random() < errors.mirrored:
        mixed = rng.random(count) < 0.5
        mixed |= mixed[flip_order]
        pose = np.where(mixed[:, None], pose[flip_order], pose)
    if other is not None:
        taken = rng.random(count) < errors.swapped
        if rng.random() < errors.merged:
            taken |= _choose_end(poses[one], rng.uniform(0.1, 0.4), rng)
        taken &= np.isfinite(other).all(-1)
        if taken.sum() <= 0.5 * count:
            pose[taken] = other[taken]
    wide = np.where(rng.random(count) < 0.25, 4 * errors.spread, errors.spread)
    pose += (length * wide[:, None] * rng.standard_normal((count, 2))).astype(np.float32)
    stray = rng.random(count) < errors.stray
    middle = find_middle(poses[one]).astype(np.float32)
    anywhere = middle + length * rng.uniform(-0.6, 0.6, (count, 2)).astype(np.float32)
    pose[stray] = anywhere[stray]
    lost = rng.random(count) < errors.missing
    if rng.random() < errors.torn:
        lost |= _choose_end(poses[one], rng.uniform(0.2, 0.7), rng)
    kept = np.isfinite(pose).all(-1)
    if (kept & ~lost).any():
        pose[lost] = np.nan
    return pose


def _find_length(pose: Singles) -> float:
    length = float(find_lengths(pose))
    return length if np.isfinite(length) else 20.0


def _find_neighbour(poses: Singles, one: int, length: float) -> Singles | None:
    """Find the nearest other animal, if its limbs could be taken for one's own."""
    gaps = np.linalg.norm(find_middle(poses) - find_middle(poses[one]), axis=-1)
    gaps[one] = np.nan
    near = np.flatnonzero(gaps < 1.2 * length)
    return poses[near[gaps[near].argmin()]] if len(near) else None


def _choose_end(pose: Singles, share: float, rng: np.random.Generator) -> Bools:
    """Choose the keypoints at one end of an animal, seen from any side."""
    turn = rng.uniform(0, 2 * np.pi)
    along = np.nan_to_num(pose @ np.array([np.cos(turn), np.sin(turn)]), nan=-np.inf)
    return np.asarray(along >= np.quantile(along[np.isfinite(along)], 1 - share))


@dataclass(frozen=True)
class Sureness:
    """How sure a first stage is of the keypoints that it finds.

    Parameters
    ----------
    scores : float32, (2, K, Q)
        Quantiles of the scores of keypoints that are wrong, and of those that are right.
    """

    scores: Singles

    @classmethod
    def learn(cls, found: Singles, score: Singles, truth: Singles) -> Sureness:
        """Learn it from poses (N, K, 2), their scores (N, K) and where the keypoints are."""
        right, there = _are_right(found, truth), np.isfinite(found).all(-1)
        levels = np.linspace(0, 1, 101)
        table = np.empty((2, found.shape[1], len(levels)), np.float32)
        # Where too few were seen it is as sure as of other keypoints, and if of none, as most are.
        for kind, (low, high) in enumerate([(0.1, 0.5), (0.5, 1.0)]):
            of_kind = there & (right == bool(kind))
            some = score[of_kind] if of_kind.sum() >= _FEW else np.array([low, high])
            for k in range(found.shape[1]):
                own = score[of_kind[:, k], k]
                table[kind, k] = np.quantile(own if len(own) >= _FEW else some, levels)
        return cls(table)

    def draw(self, told: Singles, truth: Singles, rng: np.random.Generator) -> Singles:
        """Draw scores, (K,), for a pose that is told, (K, 2), by where it is right."""
        kind = _are_right(told, truth).astype(int)
        level = rng.integers(self.scores.shape[2], size=len(told))
        return self.scores[kind, np.arange(len(told)), level]


def _are_right(told: Singles, truth: Singles) -> Bools:
    gap = np.linalg.norm(told - truth, axis=-1)
    return np.asarray(gap <= _RIGHT * find_lengths(truth)[..., None])


@dataclass(frozen=True)
class CropSet:
    """Labelled animals at the scale of the second stage, one patch of image around each.

    Parameters
    ----------
    patches : sequence of uint8, (P, P, C)
        One per animal.
    poses : float32, (N, I, K, 2)
        All animals of its image in pixels of the patch, the one that is meant first; NaN =
        missing.
    found : float32, (N, K, 2)
        What the first stage found of it; NaN = nothing.
    score : float32, (N, K)
        How sure it was.
    known : bool, (N, K)
        Whether the keypoint was looked for.
    flip_order : int64, (K,)
        Channel that each keypoint takes in a mirrored image.
    sureness : Sureness
        Of poses that are simulated.
    errors : PoseErrors
        How wrong these are.
    turns : float64, (N,), optional
        How far views of each patch are rotated at most, degrees to either side, where that is
        less than the augmentation's.
    """

    patches: Sequence[Image]
    poses: Singles
    found: Singles
    score: Singles
    known: Bools
    flip_order: Ints
    sureness: Sureness
    errors: PoseErrors = PoseErrors()
    turns: Floats | None = None

    def draw_batch(
        self, step: int, *, batch: int, size: int, augmentation: Augmentation, seed: int
    ) -> tuple[Image, Singles, Bools]:
        """Draw the batch of a training step; a pure function of step and seed.

        Parameters
        ----------
        step, batch, size, augmentation, seed
            As for `TrainingSet.draw_batch`.

        Returns
        -------
        views : uint8, (batch, size, size, C + K)
            Image, and the pose that is told.
        points : float32, (batch, 1, K, 2)
            The animal that is meant.
        known : bool, (batch, K)
        """
        near = replace(augmentation, background=0.0, translation=_SHIFT)
        views, points, known = [], [], []
        for n in range(step * batch, (step + 1) * batch):
            epoch, place = divmod(n, len(self.patches))
            i = np.random.default_rng([seed, epoch]).permutation(len(self.patches))[place]
            rng = np.random.default_rng([seed, n, 2])
            told, truth, score = self._draw_pair(i, rng)
            view, (told, truth), mirrored = draw_view(
                self.patches[i],
                np.stack([told, truth]),
                size,
                augmentation=limit_rotation(near, self.turns, i),
                flip_order=self.flip_order,
                rng=rng,
            )
            score = score[self.flip_order] if mirrored else score
            views.append(np.concatenate([view, draw_pose(told, size, score=score)], axis=-1))
            points.append(truth[None])
            known.append(self.known[i])
        return np.stack(views), np.stack(points), np.stack(known)

    def _draw_pair(self, i: int, rng: np.random.Generator) -> tuple[Singles, Singles, Singles]:
        """Draw the pose that is told, the one that is right, and how sure the first is."""
        poses = self.poses[i]
        if rng.random() < self.errors.nobody:
            astray = self._lead_astray(poses, rng)
            if astray is not None:
                nowhere = np.full_like(astray, np.nan)
                return astray, nowhere, self.sureness.draw(astray, nowhere, rng)
        if rng.random() < _FOUND and np.isfinite(self.found[i]).any():
            return self.found[i], poses[0], self.score[i]
        told = simulate_pose(poses, 0, flip_order=self.flip_order, rng=rng, errors=self.errors)
        return told, poses[0], self.sureness.draw(told, poses[0], rng)

    def _lead_astray(self, poses: Singles, rng: np.random.Generator) -> Singles | None:
        """Draw a pose where no animal is; None if there is no room for it."""
        length = _find_length(poses[0])
        turn = rng.uniform(0, 2 * np.pi)
        shift = rng.uniform(1, 1.5) * length * np.array([np.cos(turn), np.sin(turn)])
        astray = poses[0] + shift.astype(np.float32)
        gaps = np.linalg.norm(find_middle(poses) - find_middle(astray), axis=-1)
        return None if np.nanmin(gaps) < 0.9 * length else astray


def make_crop_set(
    images: Iterable[Image],
    points: Singles,
    known: Bools,
    *,
    found: Singles,
    score: Singles,
    flip_order: Ints,
    shape: CropShape,
) -> CropSet:
    """Cut a patch around each labelled animal.

    Parameters
    ----------
    images : iterable of uint8, (H, W) or (H, W, 3)
        Original images, looked at one by one.
    points : float32, (F, I, K, 2)
        Keypoints in original pixels; NaN = missing.
    known : bool, (F, K)
        Whether the keypoint was looked for in this image.
    found : float32, (F, I, K, 2)
        What the first stage found of each of these animals; NaN = nothing.
    score : float32, (F, I, K)
        How sure it was.
    flip_order : int64, (K,)
        Channel that each keypoint takes in a mirrored image.
    shape : CropShape
        Of a crop; patches are larger, so that it can be turned in them.
    """
    large = replace(shape, side=round_up(int(_PATCH * shape.side), 4))
    patches, poses, own, sure, looked = [], [], [], [], []
    for f, image in enumerate(images):
        for i in np.flatnonzero(np.isfinite(points[f]).all(-1).any(-1)):
            patch, corner = large.cut(image, find_middle(points[f, i]))
            order = np.append(i, np.delete(np.arange(points.shape[1]), i))
            patches.append(patch)
            poses.append(large.to_crop(points[f, order], corner))
            own.append(large.to_crop(found[f, i], corner))
            sure.append(score[f, i])
            looked.append(known[f])
    truth, told, certain = np.stack(poses), np.stack(own), np.stack(sure)
    sureness = Sureness.learn(told, certain, truth[:, 0])
    return CropSet(patches, truth, told, certain, np.stack(looked), flip_order, sureness)
