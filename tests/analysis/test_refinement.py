"""The way through crops and back changes nothing; animals found twice are found once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mapose.analysis.prediction import Predictor
from mapose.analysis.refinement import PoseRefiner
from mapose.decode import assemble
from mapose.models import Maps, Model, Refiner
from mapose.poses import Peaks
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained


class Echo(nn.Module):
    """A second stage that believes every keypoint that it is told."""

    stride, keypoints, split = 1, 2, 1

    def fused(self):
        return self

    def predict(self, images: torch.Tensor) -> Maps:
        told = (images[..., 1:].permute(0, 3, 1, 2).float() - 128) / 127
        return Maps(told, torch.zeros(len(told), 4, *told.shape[2:]), told[:, :0])


def make_model(*, factor: float = 1, individuals: int | None = 2) -> Model:
    refiner = Refiner(Echo(), {}, factor, 64, np.ones(2))
    return make_untrained(individuals, lively=True, refiner=refiner)


def make_peaks(xy: np.ndarray) -> Peaks:
    """Two keypoints of each animal (I, 2, 2) of one frame, linked."""
    n = xy.shape[0]
    return Peaks(
        frame=np.zeros(2 * n, np.int64),
        keypoint=np.tile([0, 1], n),
        xy=xy.reshape(-1, 2).astype(np.float32),
        score=np.linspace(0.9, 0.6, 2 * n).astype(np.float32),
        covariance=np.tile(np.eye(2, dtype=np.float32), (2 * n, 1, 1)),
        pairs=np.arange(2 * n).reshape(n, 2),
        edge=np.zeros(n, np.int64),
        affinity=np.ones(n, np.float32),
        n_frames=1,
    )


def refine(model: Model, peaks: Peaks, image: np.ndarray) -> Peaks:
    refiner = PoseRefiner(
        model, individuals=model.individuals, device=torch.device("cpu"), threshold=0.1
    )
    return refiner.refine([image], peaks)


@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_the_way_through_a_crop_and_back_moves_nothing(factor):
    wanted = np.array([[[30, 20], [41, 28]], [[90, 60], [88, 44]]])
    wanted = (wanted // factor + 0.5) * factor - 0.5  # middles of crop pixels
    found = refine(make_model(factor=factor), make_peaks(wanted), np.zeros((100, 120), np.uint8))
    poses = assemble(found, make_model().body, individuals=2)
    order = np.argsort(poses.points[0, :, 0, 0])
    np.testing.assert_allclose(poses.points[0, order], wanted, atol=1e-3)
    assert poses.confidence.min() > 0.99 and np.isfinite(poses.covariance).all()


def test_a_second_stage_that_weighs_is_told_how_sure_the_first_is():
    model = make_model()
    peaks = make_peaks(np.array([[[30, 20], [41, 28]], [[90, 60], [88, 44]]]))
    image = np.zeros((100, 120), np.uint8)
    assert refine(model, peaks, image).score.min() > 0.99
    weighs = replace(model, refiner=replace(model.refiner, weighed=True))
    found = refine(weighs, peaks, image)
    order, wanted = np.lexsort(found.xy.T), np.lexsort(peaks.xy.T)
    np.testing.assert_allclose(found.score[order], peaks.score[wanted], atol=0.01)


def test_what_is_more_likely_wrong_than_right_is_absent():
    peaks = make_peaks(np.array([[[30, 20], [41, 28]], [[90, 60], [88, 44]]]))
    model = make_model()
    image = np.zeros((100, 120), np.uint8)
    sure = replace(model, refiner=replace(model.refiner, weighed=True, threshold=0.75))
    found = refine(sure, peaks, image)
    np.testing.assert_allclose(np.sort(found.score), [0.8, 0.9], atol=0.01)
    low = replace(model, refiner=replace(model.refiner, weighed=True, threshold=0.05))
    assert len(refine(low, peaks, image)) == 4
    alone = make_model(individuals=1)
    alone = replace(alone, refiner=replace(alone.refiner, weighed=True, threshold=0.95))
    peaks = make_peaks(np.array([[[30, 20], [41, 28]]]))
    assert len(refine(alone, peaks, image)) == 2


def test_an_animal_found_twice_is_found_once():
    twice = np.array([[[30, 20], [41, 28]], [[31, 20], [41, 29]], [[90, 60], [88, 44]]])
    model = make_model(individuals=None)
    found = refine(model, make_peaks(twice), np.zeros((100, 120), np.uint8))
    assert len(found) == 4 and found.pairs.tolist() == [[0, 1], [2, 3]]


def test_links_do_not_leave_the_animal():
    near = np.array([[[30, 20], [41, 28]], [[34, 30], [40, 18]]])  # that cross
    found = refine(make_model(), make_peaks(near), np.zeros((100, 120), np.uint8))
    poses = assemble(found, make_model().body, individuals=2)
    order = np.argsort(poses.points[0, :, 0, 0])
    np.testing.assert_allclose(poses.points[0, order], near, atol=1e-3)


def test_nothing_found_is_nothing_refined():
    empty = make_peaks(np.empty((0, 2, 2)))
    assert len(refine(make_model(), empty, np.zeros((100, 120), np.uint8))) == 0


def test_landmarks_stay_as_the_first_stage_found_them():
    model = make_model()
    marked = replace(model, skeleton=Skeleton(["a", "b"], landmarks=["b"]), links=())
    peaks = make_peaks(np.array([[[30, 20], [100, 90]], [[90, 60], [7, 5]]]))
    peaks = replace(peaks, pairs=peaks.pairs[:0], edge=peaks.edge[:0], affinity=peaks.affinity[:0])
    found = refine(marked, peaks, np.zeros((100, 120), np.uint8))
    assert sorted(found.keypoint.tolist()) == [0, 0, 1, 1]
    for k in (0, 1):
        wanted, there = peaks.xy[peaks.keypoint == k], found.xy[found.keypoint == k]
        np.testing.assert_allclose(np.sort(there, axis=0), np.sort(wanted, axis=0), atol=1e-3)
    kept = found.score[found.keypoint == 1]
    assert sorted(kept) == sorted(peaks.score[peaks.keypoint == 1])


def test_a_predictor_refines_frames_crops_and_gaps_alike(rng):
    model = make_model()
    images = [rng.integers(0, 256, (96, 128), np.uint8) for _ in range(4)]
    predictor = Predictor(model)
    found = predictor.find([images[0], None, images[1], images[2]])
    alone = predictor.find_images(images[:1])
    first = found.frame == 0
    assert first.sum() == len(alone) > 0 and not (found.frame == 1).any()
    np.testing.assert_allclose(found.xy[first], alone.xy)
    plain = Predictor(replace(model, refiner=None)).find_images(images[:1])
    assert all(np.linalg.norm(plain.xy - xy, axis=1).min() < 0.75 for xy in alone.xy)
    part = Predictor(model, crop=(20, 10, 90, 70))
    inside = part.find([part.prepare(images[0])]).xy
    assert (inside >= [19.5, 9.5]).all() and (inside < [109.5, 79.5]).all() and len(inside)
