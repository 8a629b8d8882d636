"""Nothing in a picture is cut off, stands on something else, or is empty."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from calibration.synthetic import make_ring
from mapose import plots
from mapose.plots.calibration import _place_names
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.synthetic import make_scene


def walk(count: int, wide: float, high: float) -> Poses:
    rng = np.random.default_rng(0)
    array = rng.uniform(0, 1, (40, count, 1, 3)) * [wide, high, 1]
    return Poses(array, Skeleton(["snout"]), [f"mouse {i}" for i in range(count)], rate=25)


@pytest.mark.parametrize(("wide", "high"), [(640, 480), (900, 60), (60, 900)])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("with_image", [True, False])
def test_no_label_of_trajectories_is_cut_off(
    wide: int, high: int, count: int, with_image: bool
) -> None:
    image = np.zeros((high, wide), np.uint8) if with_image else None
    figure = plots.plot_trajectories(walk(count, wide, high), image=image)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    page = figure.bbox
    for text in (axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label):
        box = text.get_window_extent()
        if text.get_text():
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1


def test_minutes_of_a_training_stand_apart_and_every_legend_entry_has_a_line() -> None:
    steps = np.arange(1, 101)
    # The first steps took long, as the network was compiled, and the last ones did again.
    seconds = np.concatenate([np.linspace(0, 900, 5), np.linspace(910, 1200, 90), [1500] * 5])
    log = {"step": steps, "loss": 1 / steps, "seconds": seconds, "affinity_loss": 0 * steps}
    figure = plots.plot_training(log | {"scoremap_loss": 0.5 / steps})
    figure.draw_without_rendering()
    (top,) = [axes for axes in figure.axes[0].child_axes if axes.get_xlabel() == "minutes"]
    boxes = [label.get_window_extent() for label in top.get_xticklabels() if label.get_text()]
    assert len(boxes) > 2
    boxes.sort(key=lambda box: box.x0)
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    named = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert named == ["scoremap", "loss"]


def test_both_panels_of_a_scene_are_filled() -> None:
    scene = make_scene(2, 60, seed=4, cameras=4)
    figure = plots.plot_scene_3d(scene.truth_3d(), cameras=scene.cameras)
    figure.draw_without_rendering()
    page = figure.bbox
    for axes in figure.axes:
        drawn = axes.transData.transform(
            np.array([[axes.dataLim.x0, axes.dataLim.y0], [axes.dataLim.x1, axes.dataLim.y1]])
        )
        # The drawing reaches over most of the page's height, whichever shape it has.
        assert np.ptp(drawn[:, 1]) > 0.7 * page.height


def test_names_of_cameras_stand_beside_other_cameras() -> None:
    def make_frustum(x: float, y: float) -> np.ndarray:
        return np.array(
            [[x, y], [x - 20, y - 20], [x + 20, y - 20], [x + 20, y + 20], [x - 20, y + 20]]
        )

    frusta = [make_frustum(0, 0), make_frustum(25, 10), make_frustum(-80, 40)]
    names = ["top", "a long name", "c"]
    places = _place_names(names, frusta, 0.5)
    for number, (frustum, place) in enumerate(zip(frusta, places, strict=True)):
        middle = frustum[0] + 0.5 * np.array(place)
        for other in range(3):
            if other != number:
                assert not Outline(frusta[other][1:]).contains_point(middle)


def test_the_picture_of_a_calibration_counts_as_its_table() -> None:
    group = make_ring(3, seed=1)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(10, 200, (3, 6, 8, 2))
    errors = rng.uniform(0, 1, (3, 6, 8))
    pixels[0, 0] = errors[0, 0] = np.nan
    errors[1, 2:] = np.nan  # seen, but nothing could be said of them
    figure = plots.plot_calibration(group, pixels, errors)
    labels = [label.get_text().split("(")[1] for label in figure.axes[0].get_yticklabels()]
    assert labels == ["5 views)", "6 views)", "6 views)"]
    assert [axes.get_xlabel() for axes in figure.axes[2:5]] == [
        "40 corners", "48 corners", "48 corners",
    ]  # fmt: skip


def test_a_result_without_times_can_be_drawn() -> None:
    plots.plot_trajectories(replace(walk(1, 30, 30), rate=None))
