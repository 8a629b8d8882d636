import cv2
import numpy as np
import pytest

from calibration import Camera, make_ring
from calibration.session.report import (
    count_looks,
    evaluate_camera,
    evaluate_group,
    measure_coverage,
)

CAMERA = Camera("top", (640, 480), np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]]))
DEVIATIONS = {"tx": 1.0, "fx": 2.0, "fy": 2.0, "cx": 1.0, "cy": 1.0, "k1": 0.01, "p1": 0.001}


def judge(n=12, tilt=0.5, corners=None, false=0, deviations=DEVIATIONS, advice=()):
    rng = np.random.default_rng(0)
    if corners is None:
        corners = [[5, 5], [634, 5], [5, 474], [634, 474], [320, 240]]
    pixels = np.broadcast_to(np.array(corners, float), (n, len(corners), 2)).copy()
    pixels[:, 1] = np.where(rng.random((n, 1)) < 0.3, np.nan, pixels[:, 1])
    # No view is in the same place as another one.
    pixels += np.stack([5.0 * (np.arange(n) % 4) - 7.5, 5.0 * (np.arange(n) // 4) - 5], -1)[:, None]
    errors = np.where(np.isfinite(pixels[..., 0]), 0.25, np.nan)
    weights = np.ones(errors.shape)
    errors[:false, 0], weights[:false, 0] = 40.0, 0.0
    return evaluate_camera(
        CAMERA,
        pixels=pixels,
        errors=errors,
        weights=weights,
        turns=rng.normal(0, tilt, (n, 3)),
        deviations=deviations,
        advice=advice,
    )


def test_good_camera_is_left_in_peace():
    report = judge()
    assert report.advice == ()
    assert (report.mean, report.median, report.p95) == (0.25, 0.25, 0.25)
    assert report.views == 12 and 48 < report.corners < 60 and report.coverage > 0.95
    assert report.model == "pinhole k1 p1" and report.focal == 505


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 1}, "only 1 view of the board"),
        ({"n": 4}, "only 4 views of the board"),
        ({"tilt": 0.02}, "always held alike"),
        (
            {"corners": [[5, 5], [200, 5], [5, 150], [200, 150]]},
            "missed the bottom third, the right third, the top, the left, the middle: dist",
        ),
        ({"corners": [[5, 5], [40, 5], [5, 40], [40, 40]]}, "missed most of every part: dist"),
        ({"corners": [[5, 5], [380, 5], [5, 474], [380, 474]]}, "image and missed the right third"),
        ({"corners": [[200, 150], [440, 150], [200, 330], [440, 330]]}, "missed the whole rim"),
        (
            {"corners": [[5, 5], [634, 5], [634, 300], [300, 300], [5, 100]]},
            "the bottom third, the left: dist",
        ),
        ({"false": 10}, "% of the corners do not fit"),
        ({"deviations": {**DEVIATIONS, "fy": 20.0}}, "uncertain by 4.0%"),
        ({"advice": ["known before"]}, "known before"),
    ],
)
def test_weak_spots_are_named(options, words):
    assert any(words in text for text in judge(**options).advice)


def test_no_error_is_hidden():
    """False corners count in every figure."""
    report = judge(false=3)
    assert report.mean > 2 and report.p95 > 5 and report.false == pytest.approx(3 / report.corners)


def test_coverage_counts_what_lies_between_corners():
    whole = np.array([[[0, 0], [639, 0], [0, 479], [639, 479]]], float)
    assert measure_coverage((640, 480), whole)[0] > 0.98
    left = whole * [0.5, 1]
    share, missing = measure_coverage((640, 480), left)
    assert share == pytest.approx(0.5, abs=0.03)
    assert {"upper right", "right", "lower right"} <= set(missing) and "left" not in missing
    upright, missing = measure_coverage((480, 640), whole[..., ::-1] * [1, 0.5])
    assert upright == pytest.approx(0.5, abs=0.03) and "upper right" not in missing
    nothing, missing = measure_coverage((640, 480), whole[:, :2])
    assert nothing == 0 and len(missing) == 9


def test_group_adds_up():
    cameras = [judge(), judge(n=6)]
    errors = np.full((2, 3, 4), 0.5)
    errors[0, 0] = np.nan
    errors[:, 1:, :2] = 1.5
    pixels = np.zeros((2, 4, 4, 2))
    boards = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [np.nan] * 3])
    errors = np.concatenate([errors, np.full((2, 1, 4), np.nan)], axis=1)
    report = evaluate_group(
        cameras,
        errors,
        pixels=pixels,
        boards=boards,
        shared={("top", "side"): (3, 2)},
        advice=["beware"],
    )
    assert (report.frames, report.lost) == (3, 1)
    assert "in 1 further frame too little of the board" in str(report)
    assert report.pixels is pixels and not {"pixels", "errors", "boards"} & set(report.to_dict())
    assert report.median == 0.5 and 0.5 < report.mean < 1.5
    assert report.advice[0] == "beware" and "in 2 usable frames only" in report.advice[1]
    lines = str(report).splitlines()
    assert lines[0].split()[:4] == ["camera", "mean", "median", "p95"]
    assert lines[1].startswith("top") and lines[3].startswith("all")
    nothing = evaluate_group(cameras, np.full((2, 4, 4), np.nan), pixels=pixels, shared={})
    assert nothing.to_dict()["mean"] is None and nothing.lost == 0


def test_the_same_view_again_is_no_further_look():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(5.0)), -1).reshape(-1, 2)
    views = np.stack([100 + 30 * grid + place for place in ([0, 0], [60, 0], [0, 40])])
    still = views[[0] * 20] + rng.normal(0, 0.3, (20, 30, 2))
    assert count_looks((640, 480), views) == 3
    assert count_looks((640, 480), np.concatenate([still, views])) == 3
    still[:, ::2] = np.nan  # a hand before the board
    assert count_looks((640, 480), np.concatenate([views, still])) == 3
    assert count_looks((640, 480), views[:0]) == 0


def test_focal_lengths_of_a_board_that_hardly_moves_are_no_surer_for_more_frames():
    camera = make_ring(1, seed=2).cameras[0]
    rng = np.random.default_rng(1)
    poses = [(rng.normal(0, 0.4, 3), [30 * i - 90, -40, 0]) for i in range(4)]
    grid = np.stack(np.meshgrid(np.arange(0.0, 120, 20), np.arange(0.0, 100, 20), [0.0]), -1)
    seen = []
    for turn, shift in poses:
        world = (grid.reshape(-1, 3) + shift) @ cv2.Rodrigues(turn)[0].T
        seen.append(camera.project(world))
    seen = np.stack(seen)

    def judge(pixels, deviation):
        return evaluate_camera(
            camera,
            pixels=pixels,
            errors=np.full(pixels.shape[:2], 0.1),
            weights=np.ones(pixels.shape[:2]),
            turns=np.tile(np.stack([t for t, _ in poses]), (len(pixels) // 4, 1)),
            deviations={"fx": deviation, "fy": deviation},
            advice=(),
        )

    # Ten times the frames: the adjustment believes the root of ten more, the report does not.
    once, often = judge(seen, 1.0), judge(np.concatenate([seen] * 10), 1 / np.sqrt(10))
    assert often.sd["fx"] == pytest.approx(once.sd["fx"])
    assert any("only 4 different places" in said for said in often.advice)
