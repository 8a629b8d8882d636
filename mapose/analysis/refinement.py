"""Second stage: a look at a crop around each animal that the first stage assembled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mapose.arrays import Bools, Floats, Image, Ints, Singles
from mapose.data import CropShape, draw_pose, find_middle
from mapose.decode import assemble, find_peaks
from mapose.grid import to_pixels
from mapose.models import Model, open_runner
from mapose.poses import Peaks
from mapose.similarity import find_oks

#: Crops in one call of the network.
_BATCH = 32
#: Poses of one frame that are more alike than this are one animal, found twice.
_SAME = 0.6


class PoseRefiner:
    """Looks again at the animals that candidates of the first stage are assembled to.

    What it finds are candidates as well, one per keypoint of an animal, linked to the others of
    that animal only: they are assembled, kept and tracked as those of a single stage are.

    Parameters
    ----------
    model : Model
        With a second stage.
    individuals : int or None
        Animals per frame, where known.
    device : torch.device
        Where to compute.
    threshold : float
        Lowest score of a keypoint that is looked at; what is below the model's own is absent.
    frames, at_once
        As for `mapose.models.open_runner`.
    """

    def __init__(
        self,
        model: Model,
        *,
        individuals: int | None,
        device: torch.device,
        threshold: float,
        frames: int = 0,
        at_once: bool = False,
    ) -> None:
        assert model.refiner is not None
        self.model, self.refiner = model, model.refiner
        self.network, _ = open_runner(model, device, frames=frames, stage="second", at_once=at_once)
        self.device, self.threshold = device, threshold
        self.individuals = individuals
        self.landmarks = model.skeleton.landmark_index
        self.shape = CropShape(self.refiner.side, self.refiner.factor, model.channels)

    def refine(self, images: Sequence[Image | None], peaks: Peaks) -> Peaks:
        """Look at the animals of a few images.

        Parameters
        ----------
        images : sequence of uint8, (H, W) or (H, W, 3), or None
            In original pixels; None = not readable.
        peaks : Peaks
            Of the first stage, one frame per image.

        Returns
        -------
        Peaks
            One frame per image. Landmarks, which belong to no animal, are as they came.
        """
        of_nobody = np.isin(peaks.keypoint, self.landmarks)
        candidates = peaks.pick(~of_nobody) if of_nobody.any() else peaks
        frame, told, sure = self._choose_poses(candidates)
        points, score, covariance = self._look(images, frame, told, sure)
        points[:, self.landmarks], score[:, self.landmarks] = np.nan, 0
        kept = _drop_doubles(frame, points, score)
        if self.individuals != 1:  # of one animal every keypoint gets its best place
            points[score < self.refiner.threshold] = np.nan
        animals = self._make_peaks(
            frame[kept], points[kept], score[kept], covariance[kept], len(images)
        )
        return _merge_peaks(animals, peaks.pick(of_nobody)) if of_nobody.any() else animals

    def _choose_poses(self, peaks: Peaks) -> tuple[Ints, Singles, Singles]:
        """List the poses to look at: frames (N,), ascending, keypoints (N, K, 2), scores (N, K)."""
        poses = assemble(
            peaks,
            self.model.body,
            individuals=self.individuals,
            reach=self.model.reach,
            anatomy=self.model.anatomy,
        )
        frame, slot = np.nonzero(np.isfinite(poses.points).all(-1).any(-1))
        return frame, poses.points[frame, slot], poses.confidence[frame, slot]

    @torch.inference_mode()
    def _look(
        self, images: Sequence[Image | None], frame: Ints, told: Singles, sure: Singles
    ) -> tuple[Singles, Singles, Singles]:
        """Find in each crop the keypoints of the animal that is meant.

        Returns
        -------
        points : float32, (N, K, 2)
            Image pixels; NaN where the score is below the threshold.
        score : float32, (N, K)
        covariance : float32, (N, K, 2, 2)
            px².
        """
        count, keypoints = told.shape[:2]
        points = np.full((count, keypoints, 2), np.nan, np.float32)
        score = np.zeros((count, keypoints), np.float32)
        covariance = np.full((count, keypoints, 2, 2), np.nan, np.float32)
        for start in range(0, count, _BATCH):
            rows = np.arange(start, min(start + _BATCH, count))
            crops, corners = self._cut(images, frame[rows], told[rows], sure[rows])
            maps = self.network.predict(torch.from_numpy(crops).to(self.device))
            found = find_peaks(
                maps.scores,
                maps.offsets,
                threshold=self.threshold,
                most=1,
                best=self.individuals == 1,
                radius=self.refiner.network.split,
            )
            crop, k = found.frame.cpu().numpy(), found.keypoint.cpu().numpy()
            pixels = to_pixels(found.cells.cpu().numpy(), self.refiner.network.stride)
            at = (rows[crop], k)
            points[at] = self.shape.to_image(pixels, corners[crop])
            score[at] = found.score.cpu().numpy()
            scale = self.refiner.variance[k] * self.refiner.pitch**2
            covariance[at] = found.covariance.cpu().numpy() * scale[:, None, None]
        return points, score, covariance

    def _cut(
        self, images: Sequence[Image | None], frame: Ints, told: Singles, sure: Singles
    ) -> tuple[Image, Floats]:
        side, middles = self.shape.side, find_middle(told)
        stack = np.empty((len(told), side, side, self.model.channels + told.shape[1]), np.uint8)
        corners = np.empty((len(told), 2))
        for f in np.unique(frame):
            image, rows = images[f], np.flatnonzero(frame == f)
            assert image is not None  # what could not be read has no candidates
            for row, crop, corner in zip(
                rows, *self.shape.cut_all(image, middles[rows]), strict=True
            ):
                stack[row, ..., : self.model.channels] = crop
                pose = self.shape.to_crop(told[row], corner)
                strength = sure[row] if self.refiner.weighed else None
                stack[row, ..., self.model.channels :] = draw_pose(pose, side, score=strength)
                corners[row] = corner
        return stack, corners

    def _make_peaks(
        self, frame: Ints, points: Singles, score: Singles, covariance: Singles, n_frames: int
    ) -> Peaks:
        """Make a candidate of each keypoint, linked along the edges within its animal."""
        animal, keypoint = np.nonzero(np.isfinite(points).all(-1))
        row = np.full(points.shape[:2], -1)
        row[animal, keypoint] = np.arange(len(animal))
        ends = row[
            :, self.model.body.edge_index if self.individuals != 1 else np.empty((0, 2), int)
        ]
        linked, edge = np.nonzero((ends >= 0).all(-1))
        return Peaks(
            frame=frame[animal],
            keypoint=keypoint,
            xy=points[animal, keypoint],
            score=score[animal, keypoint],
            covariance=covariance[animal, keypoint],
            pairs=ends[linked, edge],
            edge=edge,
            affinity=np.ones(len(edge), np.float32),
            n_frames=n_frames,
        )


def _merge_peaks(one: Peaks, other: Peaks) -> Peaks:
    """Put candidates of the same frames together; those of the other have no links."""
    frame = np.concatenate([one.frame, other.frame])
    order = np.argsort(frame, kind="stable")
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    return Peaks(
        frame=frame[order],
        keypoint=np.concatenate([one.keypoint, other.keypoint])[order],
        xy=np.concatenate([one.xy, other.xy])[order],
        score=np.concatenate([one.score, other.score])[order],
        covariance=np.concatenate([one.covariance, other.covariance])[order],
        pairs=row[one.pairs],
        edge=one.edge,
        affinity=one.affinity,
        n_frames=one.n_frames,
    )


def _drop_doubles(frame: Ints, points: Singles, score: Singles) -> Bools:
    """Tell which poses to keep of those that have come to lie on the same animal: the surest."""
    kept = np.asarray((score > 0).any(-1))
    total = score.sum(-1)
    for f in np.unique(frame):
        rows = np.flatnonzero((frame == f) & kept)
        rows = rows[np.argsort(-total[rows], kind="stable")]
        alike = find_oks(points[rows], points[rows])
        for i, row in enumerate(rows):
            if kept[row]:
                later = rows[i + 1 :]
                kept[later[alike[i, i + 1 :] > _SAME]] = False
    return np.asarray(kept)
