"""Figures of calibrations and reconstructions."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure

from calibration.synthetic import make_ring
from mapose import Poses, Skeleton
from mapose.errors import ShapeError
from mapose.parts import Parts
from mapose.plots import plot_calibration, plot_reconstruction

RAT = Skeleton(["head", "neck", "tail"], [("head", "neck"), ("neck", "tail")])


def draw(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


def make_poses(rng: np.random.Generator, frames: int = 90, animals: int = 2) -> Poses:
    walk = np.cumsum(rng.normal(size=(frames, animals, 1, 3)), 0)
    body = np.array([[30.0, 0, 20], [0, 0, 20], [-40, 0, 20]])
    array = np.concatenate([walk + body, np.ones((frames, animals, 3, 1))], -1)
    array[20:25, 0] = np.nan
    covariance = np.broadcast_to(4.0 * np.eye(3), (*array.shape[:3], 3, 3)).copy()
    names = [f"rat{i}" for i in range(animals)]
    return Poses(array, RAT, names, rate=30, unit="mm", covariance=covariance)


def make_support(rng: np.random.Generator, poses: Poses) -> dict:
    shape = poses.array.shape[:3]
    filled = np.zeros(shape, bool)
    filled[40:50, -1:] = True
    return {"error": rng.random(shape), "n_views": rng.integers(2, 5, shape), "filled": filled}


@pytest.mark.parametrize(
    "kind", ["plain", "one", "long", "no rate", "no edges", "gap", "nan", "empty", "slots"]
)
def test_every_kind_of_reconstruction_can_be_drawn(rng, kind) -> None:
    poses = make_poses(rng, 4000 if kind == "long" else 90, 1 if kind == "one" else 2)
    poses = {
        "no rate": lambda: replace(poses, rate=None, covariance=None),
        "no edges": lambda: replace(poses, skeleton=Skeleton(RAT.keypoints)),
        "gap": lambda: poses.sel(frames=[*range(30), *range(60, 90)]),
        "nan": lambda: replace(poses, array=np.full_like(poses.array, np.nan)),
        "empty": lambda: poses.sel(frames=[]),
        "slots": lambda: replace(poses, individuals=None),
    }.get(kind, lambda: poses)()
    more = {} if kind in ("one", "no rate") else make_support(rng, poses)
    assert draw(plot_reconstruction(poses, **more)).startswith(b"\x89PNG")


def test_band_gap_and_filled_stretch(rng) -> None:
    poses = make_poses(rng)
    figure = plot_reconstruction(poses, **make_support(rng, poses))
    x, y, z, error, views, bones = figure.axes
    assert x.get_title(loc="left") == "neck"  # where two limbs meet
    assert [a.get_ylabel() for a in (y, z, error, views)] == [
        "y (mm)",
        "z (mm)",
        "error (px)",
        "cameras",
    ]
    thin, thick = z.lines[2], z.lines[3]  # of the second animal
    place = thin.get_xdata() * 30
    np.testing.assert_allclose(thin.get_ydata(), poses.points[:, 1, 1, 2], rtol=1e-5)
    assert np.isnan(thick.get_ydata()[40:50]).all() and np.isfinite(thick.get_ydata()[50:]).all()
    np.testing.assert_allclose(place, np.arange(90), atol=1e-6)
    bands = [c for c in z.collections if isinstance(c, FillBetweenPolyCollection)]
    box = bands[1].get_paths()[0].get_extents()
    values = poses.points[:, 1, 1, 2]
    np.testing.assert_allclose(
        [box.y0, box.y1], [values.min() - 3.92, values.max() + 3.92], atol=0.01
    )
    tint = bands[2].get_paths()[0].get_extents()
    assert tint.x0 * 30 == pytest.approx(40, abs=0.6) and tint.x1 * 30 == pytest.approx(49, abs=0.6)
    assert [t.get_text() for t in bones.get_yticklabels()] == [
        "head – neck  30 mm",
        "neck – tail  40 mm",
    ]


def test_of_keypoints_with_as_many_limbs_the_one_most_often_found_is_shown(rng) -> None:
    poses = make_poses(rng)
    array = poses.array.copy()
    array[:9, :, 0] = array[:30, :, 1] = np.nan  # least is missing of the tail
    array[~np.isfinite(array[..., 0]), -1] = 0
    figure = plot_reconstruction(replace(poses, array=array, skeleton=Skeleton(RAT.keypoints)))
    assert figure.axes[0].get_title(loc="left") == "tail"


def test_a_gap_between_frames_is_not_bridged(rng) -> None:
    poses = make_poses(rng, animals=1).sel(frames=[0, 1, 2, 50, 51])
    line = plot_reconstruction(poses, keypoint="head").axes[0].lines[0]
    assert np.isnan(line.get_ydata()[3]) and len(line.get_ydata()) == 6


def test_no_excursion_is_lost_in_long_recordings(rng) -> None:
    poses = make_poses(rng, 10_000, 1)
    array = poses.array.copy()
    array[7777, 0, 1, 2] = 500
    figure = plot_reconstruction(replace(poses, array=array), keypoint="neck")
    assert figure.axes[2].get_ylim()[1] > 490


@pytest.mark.parametrize("frames", [90, 4000])
def test_parts_are_drawn_as_the_whole(rng, monkeypatch, frames) -> None:
    monkeypatch.setattr("mapose.plots.reconstruction._MEASURED", 40)
    poses = make_poses(rng, frames)
    support = make_support(rng, poses)
    parts = Parts(
        poses.take,
        poses.frames,
        read_support=lambda rows: {name: values[rows] for name, values in support.items()},
        size=37,
    )
    drawn = []
    for figure in (plot_reconstruction(poses, **support), plot_reconstruction(parts)):
        bands = [
            path.vertices for a in figure.axes for c in a.collections for path in c.get_paths()
        ]
        lines = [line.get_ydata() for axes in figure.axes for line in axes.lines]
        drawn.append([*bands, *lines, [p.get_width() for a in figure.axes for p in a.patches]])
    assert len(drawn[0]) == len(drawn[1]) > 20
    for whole, part in zip(*drawn, strict=True):
        np.testing.assert_array_equal(part, whole)


def test_what_cannot_be_plotted_is_told(rng) -> None:
    poses = make_poses(rng)
    with pytest.raises(ShapeError, match="wanted poses in 3D"):
        plot_reconstruction(Poses(poses.array[..., 1:], RAT))
    with pytest.raises(ShapeError, match=r"n_views: wanted shape \(90, 2, 3\)"):
        plot_reconstruction(poses, n_views=np.zeros(3))
    with pytest.raises(ShapeError, match="did you mean 'neck'"):
        plot_reconstruction(poses, keypoint="nekc")


def make_views(rng, count: int, frames: int = 30):
    group = make_ring(count, seed=1)
    board = np.stack(np.meshgrid(np.arange(4) * 30.0, np.arange(5) * 30.0, [0.0]), -1).reshape(
        -1, 3
    )
    boards = rng.uniform([-150, -150, 0], [150, 150, 100], (frames, 3))
    pixels = group.project(boards[:, None] + board)
    pixels[:, rng.random(frames) < 0.3] = np.nan
    errors = np.where(np.isnan(pixels[..., 0]), np.nan, rng.random(pixels.shape[:3]))
    return group, pixels, errors, boards


@pytest.mark.parametrize(("count", "boards"), [(1, True), (2, False), (5, True)])
def test_every_rig_can_be_drawn(rng, count, boards) -> None:
    group, pixels, errors, where = make_views(rng, count)
    figure = plot_calibration(group, pixels, errors, boards=where if boards else None, unit="mm")
    assert draw(figure).startswith(b"\x89PNG")


def test_errors_and_coverage_are_those_given(rng) -> None:
    group, pixels, errors, _ = make_views(rng, 3)
    pixels[1], errors[1] = np.nan, np.nan
    figure = plot_calibration(group, pixels, errors)
    left, rig, first, second = figure.axes[:4]
    texts = [t.get_text() for t in left.texts]
    assert f"{np.nanmedian(errors[0]):.2f}" in texts and " never saw the board" in texts
    views = int(np.isfinite(errors[2]).any(-1).sum())
    assert left.get_yticklabels()[2].get_text() == f"cam2  ({views} views)"
    assert {t.get_text() for t in rig.texts} == {"cam0", "cam1", "cam2"}
    dots = first.collections[0].get_offsets()
    seen = pixels[0][np.isfinite(pixels[0]).all(-1)]
    assert sorted(map(tuple, dots.tolist())) == sorted(map(tuple, seen.tolist()))
    assert second.get_xlabel() == "0 corners"
    top, bottom = first.get_ylim()[1], first.get_ylim()[0]
    assert top < 0 < 479 < bottom  # y downwards, the whole image


def test_lenses_without_places_and_boards_not_found(rng) -> None:
    group, pixels, errors, boards = make_views(rng, 2)
    figure = plot_calibration(group, pixels, errors, boards=np.where(boards > 1e9, boards, np.nan))
    assert draw(figure).startswith(b"\x89PNG")
    lenses = [replace(camera, rotation=np.zeros(3), translation=np.zeros(3)) for camera in group]
    figure = plot_calibration(lenses, pixels, errors)
    assert [t.get_text() for t in figure.axes[1].texts] == ["lenses only"]


def test_views_that_do_not_fit_are_told(rng) -> None:
    group, pixels, errors, _ = make_views(rng, 2)
    with pytest.raises(ShapeError, match=r"wanted pixels \(2, F, C, 2\)"):
        plot_calibration(group, pixels[:1], errors)
    with pytest.raises(ShapeError, match="errors"):
        plot_calibration(group, pixels, errors[0])
