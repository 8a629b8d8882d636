import io
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from mapose import Poses, Skeleton
from mapose.errors import ShapeError
from mapose.plots import plot_confidence, plot_histograms, plot_positions, plot_trajectories
from mapose.plots.colours import find_identity_colours

WORM = Skeleton(["head", "tail"])
ALL = [plot_trajectories, plot_positions, plot_confidence, plot_histograms]


def make_poses(frames: int = 300, individuals: int = 2, dimensions: int = 2, **more) -> Poses:
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(size=(frames, individuals, 1, dimensions)), 0) + 100
    points = walk + rng.normal(size=(frames, individuals, 2, dimensions))
    confidence = rng.uniform(0.2, 1, (frames, individuals, 2, 1))
    names = [f"m{i}" for i in range(individuals)]
    array = np.concatenate([points, confidence], -1)
    return Poses(array, WORM, **{"individuals": names, "rate": 30, **more})


def draw(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


@pytest.mark.parametrize("plot", ALL)
@pytest.mark.parametrize(
    "poses",
    [
        make_poses(),
        make_poses(individuals=1),
        make_poses(individuals=20),
        make_poses(rate=None),
        replace(make_poses(), individuals=None),
        replace(make_poses(individuals=1), individuals=None),
        make_poses(frames=1),
        make_poses(frames=0),
        make_poses(frames=4000),
        replace(make_poses(8), array=np.full((8, 2, 2, 3), np.nan)),
        replace(make_poses(8), frames=np.r_[0:4, 1000:1004]),
    ],
    ids=["two", "one", "twenty", "norate", "slots", "slot", "frame", "empty", "long", "nan", "gap"],
)
def test_every_kind_of_poses_can_be_drawn(plot, poses: Poses) -> None:
    assert draw(plot(poses)).startswith(b"\x89PNG")


def test_paths_have_names_colours_and_y_downwards() -> None:
    poses = make_poses()
    axes = plot_trajectories(poses).axes[0]
    lines = axes.lines[:2]
    assert [line.get_label() for line in lines] == ["m0", "m1"]
    for line, colour in zip(lines, find_identity_colours(2), strict=True):
        assert np.allclose(colors.to_rgb(line.get_color()), colour / 255)
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert axes.get_aspect() == 1
    centre = poses.points[:, 0].mean(1)
    assert np.allclose(np.stack(lines[0].get_data(), -1), centre, atol=1e-3)


def test_a_keypoint_instead_of_the_centre() -> None:
    poses = make_poses()
    line = plot_trajectories(poses, keypoint="tail").axes[0].lines[1]
    assert np.allclose(np.stack(line.get_data(), -1), poses["m1", "tail"][:, :2])
    with pytest.raises(ShapeError, match="did you mean 'tail'"):
        plot_trajectories(poses, keypoint="tial")


def test_background_image_sets_the_view() -> None:
    image = np.zeros((240, 320), np.uint8)
    axes = plot_trajectories(make_poses(), image=image).axes[0]
    assert axes.get_xlim() == (-0.5, 319.5)
    assert axes.get_ylim() == (239.5, -0.5)
    assert len(axes.images) == 1


def test_one_animal_is_coloured_by_time() -> None:
    figure = plot_trajectories(make_poses(individuals=1))
    assert any(isinstance(c, LineCollection) for c in figure.axes[0].collections)
    assert figure.axes[1].get_ylabel() == "time (s)"


def test_unordered_slots_are_not_joined() -> None:
    slots = replace(make_poses(), individuals=None)
    for figure in (plot_trajectories(slots), plot_positions(slots)):
        assert {line.get_linestyle() for line in figure.axes[0].lines} == {"None"}


def test_paths_in_3d_are_refused() -> None:
    with pytest.raises(ShapeError, match="plot_positions"):
        plot_trajectories(make_poses(dimensions=3))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_positions_have_a_panel_per_coordinate(dimensions: int) -> None:
    figure = plot_positions(make_poses(dimensions=dimensions, unit="mm"))
    assert [axes.get_ylabel() for axes in figure.axes] == ["x (mm)", "y (mm)", "z (mm)"][
        :dimensions
    ]
    assert all(len(axes.lines) == 2 for axes in figure.axes)


def test_no_excursion_is_lost_in_long_recordings() -> None:
    poses = make_poses(frames=30_000)
    array = poses.array.copy()
    array[12_345, 1, :, 0] = 5000
    line = plot_positions(replace(poses, array=array)).axes[0].lines[1]
    times, values = line.get_data()
    assert len(values) <= 2000
    assert np.max(values) == 5000
    assert times[np.argmax(values)] == pytest.approx(12_345 / 30 / 60, abs=0.02)


@pytest.mark.parametrize(
    ("frames", "rate", "label"),
    [
        (100, None, "frame"),
        (100, 10, "time (s)"),
        (9000, 10, "time (min)"),
        (9000, 0.5, "time (h)"),
    ],
)
def test_time_axis_has_a_unit_that_fits(frames: int, rate: float | None, label: str) -> None:
    axes = plot_positions(make_poses(frames=frames, rate=rate)).axes[-1]
    assert axes.get_xlabel() == label


def test_confidence_is_a_heat_map_with_one_row_per_keypoint() -> None:
    poses = make_poses()
    figure = plot_confidence(poses)
    for i, axes in enumerate(figure.axes[:2]):
        assert axes.get_title(loc="left") == f"m{i}"
        assert [t.get_text() for t in axes.get_yticklabels()] == ["head", "tail"]
        assert np.allclose(axes.images[0].get_array(), poses.confidence[:, i].T, atol=1e-6)


def test_confidence_of_many_animals_is_summed_up() -> None:
    figure = plot_confidence(make_poses(individuals=40))
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["individuals", "keypoints"]
    assert figure.axes[0].images[0].get_array().shape[0] == 40


def test_confidence_counts_missing_as_zero_and_leaves_gaps_empty() -> None:
    array = make_poses(8).array.copy()
    array[..., 2] = 0.8
    array[2, 0, 0] = np.nan
    poses = Poses(array, WORM, ["a", "b"], frames=np.r_[0:4, 6:10])
    seen = plot_confidence(poses).axes[0].images[0].get_array()
    assert np.allclose(seen[0, [0, 1, 2, 3]], [0.8, 0.8, 0, 0.8])
    assert np.ma.getmaskarray(seen)[:, 4:6].all() or np.isnan(seen[:, 4:6]).all()
    shares = [t.get_text() for t in plot_confidence(poses).axes[0].texts]
    assert shares == ["88 %", "100 %"]


def test_histograms_have_a_row_per_keypoint_and_a_bar_at_the_median() -> None:
    poses = make_poses(3000)
    left, right = plot_histograms(poses).axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["head", "tail"]
    assert len(left.patches) == len(right.patches) == 2
    assert right.get_xscale() == "log"
    bars = [line.get_xdata()[0] for line in right.lines if len(set(line.get_xdata())) == 1]
    steps = np.linalg.norm(np.diff(poses.points[:, :, 0], axis=0), axis=-1)
    assert bars[0] == pytest.approx(np.median(steps), rel=1e-4)


def test_steps_are_not_taken_across_gaps() -> None:
    array = np.full((4, 1, 2, 3), 0.9)
    array[:, 0, :, 0] = np.array([0, 1, 500, 501])[:, None]
    poses = Poses(array, WORM, frames=[0, 1, 10, 11])
    right = plot_histograms(poses).axes[1]
    assert right.get_xlim()[1] < 2


def test_a_million_frames_take_seconds() -> None:
    array = np.full((1_000_000, 1, 2, 3), 0.9, np.float32)
    array[..., :2] = np.sin(np.arange(1_000_000) / 5000)[:, None, None, None]
    poses = Poses(array, WORM, rate=30)
    start = time.process_time()
    for plot in ALL:
        draw(plot(poses))
    assert time.process_time() - start < 20


def test_figures_leave_pyplot_and_settings_alone() -> None:
    code = """
import sys, numpy as np, matplotlib
before = matplotlib.rcParams.copy()
import mapose, mapose.plots
poses = mapose.Poses(np.ones((9, 1, 1, 3)), mapose.Skeleton(["snout"]))
for name in ("trajectories", "positions", "confidence", "histograms"):
    figure = getattr(mapose.plots, "plot_" + name)(poses)
    assert figure._repr_png_().startswith(b"\\x89PNG")
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_importing_plots_is_cheap_and_names_are_there() -> None:
    code = """
import sys
import mapose.plots
assert not {"matplotlib", "cv2", "PIL", "pandas", "torch"} & set(sys.modules), sys.modules
from mapose.plots import *
assert callable(draw_video) and callable(plot_training) and callable(plot_errors)
assert set(mapose.plots.__all__) <= set(dir(mapose.plots))
try:
    mapose.plots.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_points_that_a_person_moved_get_rings():
    poses = make_poses(frames=30)
    edited = np.zeros(poses.array.shape[:3], bool)
    edited[4, 1, 0] = edited[9, 0, 1] = True
    for plot in (plot_trajectories, plot_positions):
        axes = plot(poses, edited=edited).axes[0]
        rings = axes.lines[-1]
        assert rings.get_markerfacecolor() == "none" and len(rings.get_xdata()) == 2
        assert "moved by a person" in axes.get_title(loc="left") + axes.get_title()
        alone = plot(poses, edited=edited, keypoint=poses.skeleton.keypoints[1]).axes[0].lines[-1]
        assert len(alone.get_xdata()) == 1
        plain = plot(poses, edited=~np.ones_like(edited)).axes[0]
        assert len(plain.lines) == len(axes.lines) - 1
        with pytest.raises(ShapeError, match="edited: wanted shape"):
            plot(poses, edited=edited[:, :1])


def test_a_long_line_is_drawn_in_little_memory(tmp_path):
    """20,000 points that cross each other took 504 MB in one piece, in five 107."""
    words = """
import resource, sys
import numpy as np
from mapose import Poses, Skeleton, plots
unit = 2**20 if sys.platform == "darwin" else 2**10
def find_peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
def save(count):
    walk = np.random.default_rng(0).uniform(0, 100, (count, 2, 1, 3))
    figure = plots.plot_trajectories(Poses(walk, Skeleton(["snout"]), ["ann", "bob"]))
    plots.save_figure(figure, sys.argv[1])
save(2000)
before = find_peak()
save(20_000)
print(find_peak() - before)
"""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", words, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 250
