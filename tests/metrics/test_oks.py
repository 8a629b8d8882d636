import contextlib
import io

import numpy as np
import pytest

from mapose.metrics import oks_map
from mapose.similarity import find_areas


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
