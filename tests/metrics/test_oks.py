import contextlib
import io

import numpy as np
import pytest

from mapose.errors import ShapeError
from mapose.metrics import oks_map
from mapose.poses import Poses
from mapose.similarity import find_areas
from mapose.skeleton import Skeleton


def score_with_pycocotools(truth, found, scores, sigma):
    pycocotools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    k = truth.shape[2]
    images = [{"id": f + 1} for f in range(len(truth))]
    category = [{"id": 1, "name": "animal", "keypoints": [str(i) for i in range(k)]}]
    areas = find_areas(truth)
    labels, results = [], []
    for f, i in np.ndindex(truth.shape[:2]):
        seen = np.isfinite(truth[f, i]).all(-1)
        if np.isfinite(areas[f, i]):
            flat = np.concatenate([np.nan_to_num(truth[f, i]), 2 * seen[:, None]], 1).ravel()
            one = {"id": len(labels) + 1, "image_id": f + 1, "category_id": 1, "iscrowd": 0}
            one |= {"keypoints": flat.tolist(), "num_keypoints": int(seen.sum())}
            labels.append(one | {"area": float(areas[f, i]), "bbox": [0, 0, 1, 1]})
    for f, j in np.ndindex(found.shape[:2]):
        seen = np.isfinite(found[f, j]).all(-1)
        if seen.any():  # COCO knows no missing keypoint: far away is the same
            xy = np.where(seen[:, None], found[f, j], 2e4)
            flat = np.concatenate([xy, np.ones((k, 1))], 1).ravel()
            one = {"image_id": f + 1, "category_id": 1, "keypoints": flat.tolist()}
            results.append(one | {"score": float(scores[f, j])})
    with contextlib.redirect_stdout(io.StringIO()):
        book = pycocotools.COCO()
        book.dataset = {"images": images, "annotations": labels, "categories": category}
        book.createIndex()
        judge = COCOeval(book, book.loadRes(results), "keypoints")
        judge.params.kpt_oks_sigmas = np.full(k, sigma)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


def make_case(seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 200, (25, 4, 1, 2)) + rng.uniform(-30, 30, (25, 4, 5, 2))
    noise = rng.choice([1.0, 3.0, 8.0], (25, 4, 1, 1))
    found = truth + rng.normal(0, 1, truth.shape) * noise
    false = rng.uniform(0, 200, (25, 2, 5, 2))
    found = np.concatenate([found, false], 1)[:, rng.permutation(6)]
    truth[rng.random(truth.shape[:2]) < 0.2] = np.nan
    truth[rng.random(truth.shape[:3]) < 0.1] = np.nan
    found[rng.random(found.shape[:2]) < 0.2] = np.nan
    found[rng.random(found.shape[:3]) < 0.1] = np.nan
    return truth, found, rng.random(found.shape[:2])


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_pycocotools(seed):
    truth, found, scores = make_case(seed)
    ours = oks_map(truth, found, scores=scores, sigma=0.1)
    theirs = score_with_pycocotools(truth, found, scores, 0.1)
    assert ours.map == pytest.approx(theirs[0], abs=1e-6)
    assert ours.ap50 == pytest.approx(theirs[1], abs=1e-6)
    assert ours.ap75 == pytest.approx(theirs[2], abs=1e-6)
    assert ours.mar == pytest.approx(theirs[5], abs=1e-6)
    assert 0.1 < ours.map < 0.9


def test_perfect_and_empty():
    truth, _, _ = make_case(0)
    perfect = oks_map(truth, truth)
    assert perfect.map == perfect.mar == perfect.ap50 == perfect.ap75 == 1
    nothing = oks_map(truth, np.full((25, 0, 5, 2), np.nan))
    assert nothing.map == nothing.mar == 0
    assert np.isnan(oks_map(np.full((3, 2, 5, 2), np.nan), truth[:3]).map)


def test_sure_false_animals_cost_more_than_unsure_ones():
    truth, _, _ = make_case(1)
    false = truth + 500
    found = np.concatenate([truth, false], 1)
    score = np.ones(found.shape[:2])
    score[:, 4:] = 0.1
    assert oks_map(truth, found, scores=score).map == 1
    score[:, 4:] = 2
    assert oks_map(truth, found, scores=score).map < 0.7


def test_poses_bring_their_confidence():
    truth, found, _ = make_case(2)
    skeleton = Skeleton(list("abcde"))

    def make_poses(points, confidence):
        return Poses(np.concatenate([points, confidence[..., None]], -1), skeleton)

    there = np.isfinite(found).all(-1)
    sure = np.where(there, np.random.default_rng(0).random(found.shape[:2])[..., None], 0)
    a = oks_map(make_poses(truth, np.ones(truth.shape[:3])), make_poses(found, sure))
    b = oks_map(truth.astype(np.float32), found.astype(np.float32), scores=sure.max(-1))
    assert a.map == pytest.approx(b.map)
    assert a.found == there.any(-1).sum()


def test_text_and_dictionary():
    truth, found, scores = make_case(3)
    result = oks_map(truth, found, scores=scores)
    assert f"{result.map:.3f}" in str(result) and "AP50" in str(result)
    assert set(result.to_dict()) == {
        "map",
        "mar",
        "ap50",
        "ap75",
        "animals_labelled",
        "animals_found",
    }


def test_bad_shapes_are_refused():
    truth, found, scores = make_case(4)
    with pytest.raises(ShapeError, match="wanted truth"):
        oks_map(truth, found[:, :, :3])
    with pytest.raises(ShapeError, match="scores"):
        oks_map(truth, found, scores=scores[:, :1])


def test_scores_without_measure_count_as_well():
    truth, _, _ = make_case(0)
    scores = np.ones(truth.shape[:2])
    scores[0], scores[1] = np.inf, np.nan
    found = oks_map(truth, truth, scores=scores)
    assert found.map == 1 and found.mar == 1
