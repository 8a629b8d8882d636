"""Figures of identity, behaviour and doubtful moments show what they are given."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mapose import Poses, Skeleton
from mapose.errors import ShapeError
from mapose.kinematics import Bout, find_occupancy
from mapose.plots import plot_ethogram, plot_identity, plot_occupancy, plot_speeds, plot_swap
from mapose.plots.colours import find_identity_colours

MOMENT = SimpleNamespace(first=40, last=44, individuals=("ann", "bob"), probability=0.31)


def make_poses(frames: int = 100, rate: float | None = 25.0, names=("eve", "ann", "bob")) -> Poses:
    """Animals that stand beside each other; bob moves."""
    array = np.ones((frames, len(names), 2, 3), np.float32)
    array[..., 0] = 60 + 40 * np.arange(len(names))[:, None] + [0, 25]
    array[..., 1] = 80
    array[:, -1, :, 1] += np.linspace(0, 30, frames)[:, None]
    identity = np.full((frames, len(names)), 0.9, np.float32)
    skeleton = Skeleton(["nose", "tail"], [("nose", "tail")])
    return Poses(array, skeleton, names, rate, identity=identity)


def count_colour(image: np.ndarray, colour: np.ndarray, within: int = 30) -> int:
    return int((np.abs(image.astype(int) - colour).max(-1) < within).sum())


def test_a_doubtful_moment_shows_both_in_their_colours_before_during_and_after():
    grey = np.full((240, 320, 3), 100, np.uint8)
    figure = plot_swap(make_poses(), MOMENT, images=dict.fromkeys([50, 30, 42], grey))
    panels = figure.axes
    assert [a.get_title("left") for a in panels] == ["before", "during", "after"]
    assert [a.get_title("right").split("  ")[0] for a in panels] == [
        "frame 30", "frame 42", "frame 50"
    ]  # fmt: skip
    assert panels[1].get_title("right").endswith("0:01.68")
    colours = find_identity_colours(3)
    for axes in panels:
        image = axes.images[0].get_array()
        assert image.shape == panels[0].images[0].get_array().shape
        # eve stands by: grey, not in her colour
        assert count_colour(image, colours[0]) == 0
        assert min(count_colour(image, c) for c in colours[1:]) > 10
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["ann", "bob"]
    assert "0.310" in figure.legends[1].get_title().get_text()


def test_a_doubtful_moment_without_images_or_without_animals_there():
    poses = make_poses(rate=None)
    figure = plot_swap(poses, MOMENT, images={30: None, 42: None})
    assert len(figure.axes) == 2 and figure.axes[0].get_title("right") == "frame 30"
    array = poses.array.copy()
    array[30:60] = np.nan
    empty = np.zeros((40, 60), np.uint8)
    assert plot_swap(replace(poses, array=array), MOMENT, images={42: empty}).axes
    assert plot_swap(replace(poses, array=array), MOMENT, images={42: None}).axes


def test_what_cannot_be_shown_is_told():
    poses = make_poses()
    solid = Poses(np.ones((5, 2, 1, 4)), Skeleton(["a"]), ["ann", "bob"])
    with pytest.raises(ShapeError, match="2D"):
        plot_swap(solid, MOMENT, images={1: None})
    with pytest.raises(ShapeError, match="at least one frame"):
        plot_swap(poses, MOMENT, images={})
    with pytest.raises(ShapeError, match="'bob'"):
        plot_swap(make_poses(names=("eve", "ann")), MOMENT, images={1: None})
    with pytest.raises(ShapeError, match="not among"):
        plot_swap(poses, MOMENT, images={400: None})
    with pytest.raises(ShapeError, match="no probabilities"):
        plot_identity(replace(poses, identity=None))
    with pytest.raises(ShapeError, match="at least one behaviour"):
        plot_ethogram(poses, {})
    with pytest.raises(ShapeError, match="contact is of ann and zoe"):
        plot_ethogram(poses, {"contact": [Bout(1, 2, ("ann", "zoe"), 0.1)]})


@pytest.mark.parametrize("frames", [1, 100, 5000])
def test_identity_shows_its_lowest_values_and_the_doubts(frames):
    poses = make_poses(frames)
    identity = poses.identity.copy()
    identity[frames // 2, 1] = 0.5
    identity[:, 2] = np.nan
    upper, lower = plot_identity(replace(poses, identity=identity), moments=[MOMENT]).axes
    assert [line.get_label() for line in upper.lines] == list(poses.names)
    assert np.nanmin(upper.lines[1].get_ydata()) == 0.5
    assert upper.get_ylim()[0] < 0.5 < 0.9 < upper.get_ylim()[1]
    (bar,) = lower.patches
    assert bar.get_height() == 0.31 and lower.get_ylim()[1] > 0.31
    assert bar.get_x() == pytest.approx(40 / 25 / (60 if frames == 5000 else 1))


def test_an_ethogram_has_a_line_for_each_pair_and_direction():
    follows = [
        Bout(10, 19, ("bob", "ann"), 0.4, True),
        Bout(30, 39, ("bob", "ann"), 0.4, True),
        Bout(50, 54, ("ann", "bob"), 0.2, True),
    ]
    behaviours = {"following": follows, "contact": [Bout(0, 99, ("ann", "eve"), 4.0)], "rest": []}
    first, second, third = plot_ethogram(make_poses(), behaviours).axes
    marks = [[t.get_text() for t in a.get_yticklabels()] for a in (first, second, third)]
    assert marks == [["ann → bob", "bob → ann"], ["ann – eve"], ["never"]]
    assert [t.get_text() for t in first.texts] == ["1 x, 0.2 s", "2 x, 0.8 s"]
    colours = find_identity_colours(3) / 255
    np.testing.assert_allclose(first.collections[1].get_facecolor()[0][:3], colours[2], atol=1e-6)
    box = first.collections[1].get_paths()[0].get_extents()
    assert (box.x0, box.x1) == pytest.approx((10 / 25, 20 / 25))
    assert len(plot_ethogram(make_poses(rate=None), behaviours).axes) == 3


@pytest.mark.parametrize("count", [1, 2, 6])
def test_occupancy_has_a_panel_per_animal(count):
    poses = make_poses(names=[f"m{i}" for i in range(count)])
    figure = plot_occupancy(find_occupancy(poses, cell=10))
    panels = [a for a in figure.axes if a.get_title("left")]
    assert [a.get_title("left") for a in panels] == list(poses.names)
    top, bottom = panels[0].get_ylim()
    assert top > bottom  # y runs down
    nobody = replace(poses, array=np.full_like(poses.array, np.nan))
    assert plot_occupancy(find_occupancy(nobody, cell=0.5)).axes


def test_speeds_in_runs_are_drawn_as_those_of_the_whole():
    poses = make_poses(5000)
    speeds = np.random.default_rng(5).uniform(0, 9, (5000, 3))
    speeds[4000:4200, 1] = np.nan
    whole = plot_speeds(poses, speeds)
    parts = plot_speeds(poses, np.split(speeds, [700, 701, 4100]))
    drawn = [[axes.lines[0].get_ydata() for axes in figure.axes] for figure in (whole, parts)]
    np.testing.assert_array_equal(*drawn)
    assert drawn[0][2].max() == speeds[:, 2].max() and np.isnan(drawn[0][1]).any()
    for wrong in (speeds[:-1], speeds[:, :2], [speeds, speeds[:5]]):
        with pytest.raises(ShapeError, match=r"wanted \(5000, 3\)"):
            plot_speeds(poses, wrong)


def test_of_many_bouts_the_share_of_time_is_shown():
    poses = make_poses(60_000)
    often = [Bout(n, n + 9, ("ann",), 0.4) for n in range(0, 30_000, 20)]  # half of the first half
    figure = plot_ethogram(poses, {"rests": often, "runs": often[:200]})
    many, few = (axes.collections[0] for axes in figure.axes)
    assert len(many.get_paths()) == 1000 and len(few.get_paths()) == 200
    shares = many.get_facecolors()[:, 3]
    np.testing.assert_allclose(shares[:500], 0.6, atol=1e-6)
    assert not shares[500:].any()
    assert many.get_paths()[-1].get_extents().x1 == pytest.approx(60_000 / 25 / 60)  # minutes
    assert (few.get_facecolors()[:, 3] == 1).all()
    assert "1500 x, 600.0 s" in [text.get_text() for text in figure.axes[0].texts]
