import io

import numpy as np
import pytest

from mapose import Skeleton
from mapose.errors import ShapeError
from mapose.plots import draw_evaluation, plot_errors, plot_scores
from mapose.plots.colours import find_keypoint_colours

MOUSE = Skeleton(["snout", "ear", "tail"])
TRUTH = np.array([[[40.0, 40], [80, 60], [120, 90]]])


def draw(figure) -> None:
    figure.savefig(io.BytesIO(), format="png", dpi=50)


def test_labels_are_circles_and_predictions_crosses() -> None:
    image = np.full((600, 800), 90, np.uint8)
    truth = 4 * TRUTH + 60
    drawn = draw_evaluation(image, truth, truth + np.array([40, 0]), None, MOUSE)
    assert drawn.shape == (600, 800, 3) and (image == 90).all()
    for (x, y), colour in zip(truth[0].astype(int), find_keypoint_colours(3), strict=True):
        assert (drawn[y, x - 1] == 90).all()  # a label hides nothing
        for at in ((y, x + 40), (y, x + 44), (y - 4, x + 40), (y, x + 20)):
            assert np.abs(drawn[at].astype(int) - colour).max() < 60, at


def test_missing_on_either_side_is_not_joined() -> None:
    found = TRUTH + np.array([20.0, 0])
    found[0, 0] = np.nan
    truth = TRUTH.copy()
    truth[0, 1] = np.inf
    drawn = draw_evaluation(np.full((150, 200), 90, np.uint8), truth, found, None, MOUSE)
    assert (drawn[40, 50:70] == 90).all()
    assert (drawn[60, 70:92] == 90).all()
    nothing = np.full((1, 3, 2), np.nan)
    for crop in (False, True):
        draw_evaluation(np.zeros((99, 99, 3), np.uint8), nothing, nothing, None, MOUSE, crop=crop)


def test_doubtful_predictions_are_small() -> None:
    image = np.full((600, 800), 90, np.uint8)
    found = 4 * TRUTH + 60
    drawn = draw_evaluation(image, np.full((1, 3, 2), np.nan), found, [[0.9, 0.2, 0.9]], MOUSE)
    widths = [int((drawn[y, x - 30 : x + 31] != 90).any(-1).sum()) for x, y in found[0].astype(int)]
    assert widths[0] == widths[2] > 1.5 * widths[1] > 0


def test_crop_enlarges_what_was_compared() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[60, 80] = 255
    drawn = draw_evaluation(image, TRUTH, TRUTH + 0.5, None, MOUSE, crop=True)
    assert max(drawn.shape) in (799, 800, 801)


def test_crop_moves_points_and_pixels_alike() -> None:
    # One white pixel on black, with the ring of a label around it: both have one centre, whatever
    # the scale.
    image = np.zeros((480, 640), np.uint8)
    image[60, 80] = 255
    none = np.full((1, 1, 2), np.nan)
    here = np.array([[[80.0, 60.0]]])
    drawn = draw_evaluation(image, here, none, [[0.3]], Skeleton(["eye"]), crop=True)
    drawn = drawn[: len(drawn) * 3 // 4].astype(float)  # without the note
    rows, columns = np.indices(drawn.shape[:2])
    colourful = np.ptp(drawn, axis=-1)
    grey = drawn.min(-1) * (colourful < 8)

    def find_centre(weight: np.ndarray) -> np.ndarray:
        return np.array([(weight * rows).sum(), (weight * columns).sum()]) / weight.sum()

    assert np.allclose(find_centre(grey), find_centre(colourful), atol=0.3)


@pytest.mark.parametrize("found", [TRUTH[:, :2], TRUTH[0], np.concatenate([TRUTH, TRUTH])])
def test_shapes_that_do_not_fit_are_told(found: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="3 keypoints"):
        draw_evaluation(np.zeros((99, 99), np.uint8), TRUTH, found, None, MOUSE)


def test_errors_have_a_row_for_all_and_one_per_keypoint(rng: np.random.Generator) -> None:
    truth = rng.uniform(0, 500, (40, 2, 3, 2))
    found = truth + np.array([3.0, 4.0])
    found[:10, 0, 2] = np.nan
    truth[:, :, 0] = np.nan
    figure = plot_errors(truth, found, keypoints=MOUSE.keypoints)
    draw(figure)
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["all", "snout", "ear", "tail"]
    assert axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.texts] == [
        "median 5.0, 6.2 % not found",
        "no labels",
        "median 5.0",
        "median 5.0, 12.5 % not found",
    ]


def test_frames_not_trained_on_stand_apart(rng: np.random.Generator) -> None:
    truth = rng.uniform(0, 500, (40, 1, 3, 2))
    test = np.arange(40) < 10
    found = truth + np.where(test, 8.0, 2.0)[:, None, None, None] * (1, 0)
    figure = plot_errors(truth, found, keypoints=MOUSE.keypoints, test=test)
    draw(figure)
    words = [t.get_text() for t in figure.axes[0].texts]
    assert words.count("median 2.0") == words.count("median 8.0") == 4
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["train", "test"]


@pytest.mark.parametrize("offset", [0.0, np.nan])
def test_perfect_or_absent_predictions_can_be_drawn(offset: float) -> None:
    truth = np.ones((5, 1, 3, 2))
    draw(plot_errors(truth, truth + offset, keypoints=MOUSE.keypoints))
    draw(plot_errors(truth[:0], truth[:0], keypoints=MOUSE.keypoints, test=np.zeros(0, bool)))


def test_wrong_names_and_shapes_are_told() -> None:
    truth = np.ones((5, 1, 3, 2))
    with pytest.raises(ShapeError, match="3 names, came 2"):
        plot_errors(truth, truth, keypoints=["a", "b"])
    with pytest.raises(ShapeError, match="one shape"):
        plot_errors(truth, truth[:4], keypoints=MOUSE.keypoints)
    with pytest.raises(ShapeError, match="test"):
        plot_errors(truth, truth, keypoints=MOUSE.keypoints, test=[True])


def test_scores_show_each_part_and_the_cutoff() -> None:
    curves = {"train": {1.0: 0.5, 2.0: 1.0}, "test": {1.0: 0.25, 2.0: 0.5}}
    nothing = [np.nan, np.nan]
    figure = plot_scores(curves, [0, 1], shown=[1, 0], hidden=nothing, cutoff=0.4)
    draw(figure)
    left, right = figure.axes
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["train", "test"]
    assert [t.get_text() for t in right.get_legend().get_texts()] == ["visible, shown"]
    assert [line.get_xdata()[0] for line in right.lines][-1] == 0.4
