"""Images are read when they are needed, and batches do not depend on which are kept."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapose.data import Augmentation, TrainingSet, dataset, make_training_set, prepare_image
from mapose.data.dataset import PreparedImages
from mapose.errors import FormatError
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.training.ahead import draw_ahead
from mapose.training.images import LabelledImages
from mapose.training.training import train
from tests.io.test_damage import make_png
from tests.training.test_training import QUICK, SKELETON, make_labels


@pytest.fixture
def images(tmp_path):
    project = Project.create(tmp_path / "worms", SKELETON, individuals=2)
    import_labels(project, make_labels(tmp_path / "source", frames=6))
    project = Project.load(project.path)
    return LabelledImages(project, project.load_labels())


def test_images_are_read_each_time_they_are_asked_for(images, monkeypatch):
    looked = []
    real = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *a: (looked.append(1), real(*a))[1])
    assert images.find_sizes() == [(100, 80)] * 6 and not looked
    part = images.take([4, 2])
    assert len(part) == 2 and not looked
    np.testing.assert_array_equal(part[0], images[4])
    assert len(looked) == 2
    assert len(list(images)) == 6 and len(looked) == 8
    images.entries[3][0].unlink()
    with pytest.raises(FormatError, match="found no file"):
        images.find_sizes()
    images.entries[3][0].write_bytes(make_png(60_000, 60_000))
    with pytest.raises(FormatError, match="wanted an image of at most"):
        images.find_sizes()


def test_as_many_prepared_images_are_kept_as_there_is_room(images):
    one = prepare_image(images[0], factor=2, channels=1)
    asked = []

    class Counting:
        def __len__(self):
            return len(images)

        def __getitem__(self, row):
            asked.append(row)
            return images[row]

    kept = PreparedImages(Counting(), factor=2, channels=1, most=2 * one.nbytes + 10)
    for row in (3, 1, 3, 1, 0, 0, 3):
        np.testing.assert_array_equal(kept[row], prepare_image(images[row], factor=2, channels=1))
    assert asked == [3, 1, 0] and set(kept.kept) == {3, 1}


def test_batches_do_not_depend_on_what_is_kept_or_who_draws(images):
    points = np.zeros((6, 2, 2, 2), np.float32) + 30
    known = np.ones((6, 2), bool)

    def make(most: int) -> TrainingSet:
        prepared = PreparedImages(images, factor=1, channels=1, most=most)
        return TrainingSet(prepared, points, known, np.arange(2))

    def draw(data: TrainingSet, step: int):
        return data.draw_batch(step, batch=4, size=64, augmentation=Augmentation(), seed=3)

    none, every = make(0), make(2**30)
    batches = draw_ahead(lambda step: draw(every, step), 2)
    for step, batch in zip(itertools.count(2), itertools.islice(batches, 5)):
        for a, b in zip(batch, draw(none, step), strict=True):
            np.testing.assert_array_equal(a, b)
    batches.close()
    assert not none.images.kept and len(every.images.kept) == 6


def test_many_images_are_shown_several_times_once_they_are_read(monkeypatch):
    monkeypatch.setattr(dataset, "KEPT", 600)
    images = [np.full((10, 10), n, np.uint8) for n in range(10)]
    points, known = np.zeros((10, 1, 2, 2), np.float32), np.ones((10, 2), bool)
    options = {"flip_order": np.arange(2), "factor": 1, "channels": 1}
    sizes = [(10, 10)] * 10
    assert dataset.choose_block(sizes[:6], factor=1, channels=1, views=24) == 0
    assert dataset.choose_block(sizes[:6], factor=1, channels=1, views=23) > 0  # each seldom shown
    # The room is that small.
    assert dataset.choose_block(sizes, factor=1, channels=1, views=10**6) == 1
    many = replace(make_training_set(images, points, known, **options), block=4)
    order = [many._find_image(n, seed=1) for n in range(80)]
    counts = [order[:40].count(n) for n in range(10)]
    assert counts == [dataset.SHOWN] * 10 and order[:40] != order[40:]
    assert len(set(order[:16])) == 4 and len(set(order[:4])) == 4
    assert order == [many._find_image(n, seed=1) for n in range(80)]


def test_a_training_says_how_many_views_it_shows(tmp_path, monkeypatch):
    project = Project.create(tmp_path / "worms", SKELETON, individuals=2)
    import_labels(project, make_labels(tmp_path / "source", frames=6))

    def choose(sizes, *, views, **scale):
        raise InterruptedError(len(sizes), views)

    monkeypatch.setattr("mapose.training.training.choose_block", choose)
    with pytest.raises(InterruptedError) as told:
        train(project, overrides=[*QUICK, "train.steps=7", "train.batch=3"])
    assert told.value.args == (4, 21)  # one of six frames tests, one validates


def test_what_drawing_raises_is_raised_where_it_is_used():
    def draw(step):
        if step == 2:
            raise ValueError("gone")
        return step

    batches = draw_ahead(draw, 0)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(ValueError, match="gone"):
        next(batches)
