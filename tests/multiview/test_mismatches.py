"""Views with other keypoints, moments or frames than the others are told; others are not."""

from dataclasses import replace

import numpy as np
import pytest

from mapose import triangulate
from mapose.errors import ShapeError
from mapose.synthetic import make_scene


@pytest.fixture(scope="module")
def scene():
    return make_scene(1, 150, seed=1, cameras=4)


@pytest.fixture(scope="module")
def views(scene):
    rng = np.random.default_rng(0)
    found = {}
    for name in scene.cameras.names:
        view = scene.truth(name, occluded=False)
        array = view.array.copy()
        array[..., :2] += rng.normal(0, 1, array[..., :2].shape)
        found[name] = replace(view, array=array)
    return found


def take(view, rows):
    """Its frames in another order, as a file numbers them."""
    rows = np.asarray(rows)
    return replace(view, array=view.array[rows], frames=np.arange(len(rows)))


def tell(scene, views, changed):
    return triangulate({**views, "cam1": changed}, scene.cameras, smooth=False).warnings


def test_left_and_right_exchanged_in_one_view_are_named(scene, views):
    view = views["cam1"]
    order = np.arange(len(view.skeleton.keypoints))
    for pair in view.skeleton.mirror:
        a, b = map(view.skeleton.index, pair)
        order[[a, b]] = b, a
    (said,) = tell(scene, views, replace(view, array=view.array[:, :, order]))
    assert said.startswith("cam1: the others see left_ear and right_ear")
    assert "exchanged (" in said and " px so)" in said


def test_keypoints_in_another_order_are_named(scene, views):
    view = views["cam1"]
    said = tell(scene, views, replace(view, array=np.roll(view.array, 1, axis=2)))
    assert any(w.startswith("cam1: the others see") and "another order" in w for w in said)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.arange(20, 150), "20 frames later"),
        (np.repeat(np.arange(75), 2), "there twice"),
        (np.arange(0, 150, 2), "every second frame"),
        (np.arange(150)[::-1], "backwards"),
    ],
)
def test_a_view_of_other_moments_is_named(scene, views, rows, words):
    said = [w for w in tell(scene, views, take(views["cam1"], rows)) if "what it saw fits" in w]
    assert len(said) == 1 and said[0].startswith("cam1: ") and words in said[0]


@pytest.mark.parametrize(
    ("rows", "share"),
    [(np.repeat(np.arange(75), 2), "50 %"), (np.minimum(np.arange(150), 50), "66 %")],
    ids=["doubled", "hanging"],
)
def test_frames_that_repeat_the_one_before_are_counted(scene, views, rows, share):
    said = [w for w in tell(scene, views, take(views["cam1"], rows)) if "last digit" in w]
    assert len(said) == 1 and said[0].startswith(f"cam1: in {share}")


def test_views_that_fit_or_rest_are_not_spoken_of(scene, views):
    assert tell(scene, views, views["cam1"]) == ()
    still = {name: take(view, np.full(150, 40)) for name, view in views.items()}
    assert triangulate(still, scene.cameras, smooth=False).warnings == ()


def test_what_one_view_alone_sees_contradicts_nothing(scene, views):
    blind = {}
    for name, view in views.items():
        array = view.array.copy()
        array[..., :2], array[..., 2] = np.nan, 0
        blind[name] = replace(view, array=array)
    warnings = tell(scene, blind, views["cam1"])
    assert not [w for w in warnings if "does not fit" in w]


def test_one_animal_without_a_name_among_named_ones_is_refused():
    scene = make_scene(2, 10, seed=2, cameras=3)
    views = {n: replace(scene.truth(n), individuals=("a", "b")) for n in scene.cameras.names}
    alone = views["cam1"].sel(individual=["a"])
    with pytest.raises(ShapeError, match="cam1: one of several without names"):
        triangulate({**views, "cam1": replace(alone, individuals=None)}, scene.cameras, match=False)
