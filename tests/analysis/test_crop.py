"""A crop decides where is looked, not where something is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mapose
from mapose.analysis import analyze_file, predict
from mapose.analysis.prediction import Predictor
from mapose.cli import app
from mapose.data import prepare_image
from mapose.errors import SettingsError
from mapose.grid import to_pixels
from mapose.io import VideoWriter, load, load_provenance
from mapose.models import Model
from mapose.synthetic import make_scene
from tests.untrained import make_untrained

SCENE = make_scene(2, 12, seed=3)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two drawn mice before a camera of 480 x 360."""
    scene = SCENE
    path = tmp_path_factory.mktemp("crop") / "mice.mp4"
    with VideoWriter(path, scene.rate, quality=95) as writer:
        for image in scene.draw_frames(scene.cameras.names[0]):
            writer.write(image)
    return path


@pytest.mark.parametrize("individual", [0, 1])
def test_a_crop_moves_no_keypoint(video, individual):
    model = Model.load(Path(mapose.__file__).parent / "zoo" / "drawn-mice")
    points = SCENE.truth(SCENE.cameras.names[0]).points[:, individual].reshape(-1, 2)
    left, top = (np.clip(np.nanmedian(points, 0) - 70, 0, [340, 220])).astype(int).tolist()
    width = height = 140
    whole = predict(video, model)
    part = predict(video, model, crop=(left, top, width, height))
    low, high = np.array([left, top]) - 0.5, np.array([left + width, top + height]) - 0.5
    assert ((part.xy >= low) & (part.xy < high)).all()
    clear = whole.score > 0.5
    inside = np.flatnonzero(((whole.xy >= low + 1) & (whole.xy < high - 1)).all(1) & clear)
    assert len(inside) > 20
    for i in inside:
        same = (part.frame == whole.frame[i]) & (part.keypoint == whole.keypoint[i])
        assert np.linalg.norm(part.xy[same] - whole.xy[i], axis=1).min() < 0.1


def test_an_enlarged_image_gives_the_same_places_also_in_a_crop():
    model = Model.load(Path(mapose.__file__).parent / "zoo" / "drawn-mice")
    # With three frames, 49 points, chance alone moves the median by 0.13 px.
    images = list(SCENE.draw_frames(SCENE.cameras.names[0]))
    quarters = [prepare_image(image, factor=4, channels=3) for image in images]
    small = replace(model, factor=model.factor / 4)
    assert small.factor == 0.5
    large = Predictor(model).find_images(images)
    found = Predictor(small).find_images(quarters)
    part = Predictor(small, crop=(21, 13, 80, 70)).find_images(quarters)
    places, cut = to_pixels(found.xy, 4), to_pixels(part.xy, 4)
    gaps, lost = [], 0
    for i in np.flatnonzero(large.score > 0.6):
        same = (found.frame == large.frame[i]) & (found.keypoint == large.keypoint[i])
        near = places[same] - large.xy[i]  # fewer are found in blurred images
        gaps += [gap for gap in near if np.linalg.norm(gap) < 8]
    assert len(gaps) > 150
    assert np.abs(np.median(gaps, axis=0)).max() < 0.2
    assert np.median(np.linalg.norm(gaps, axis=1)) < 1.0
    assert len(cut) > 10
    for i in np.flatnonzero(part.score > 0.5):
        same = (found.frame == part.frame[i]) & (found.keypoint == part.keypoint[i])
        lost += np.linalg.norm(places[same] - cut[i], axis=1).min(initial=np.inf) > 0.3
    assert not lost


def test_a_result_says_where_was_looked(video, tmp_path):
    make_untrained(lively=True).save(tmp_path / "model")
    out = tmp_path / "out"
    words = ["analyze", str(tmp_path / "model"), str(video), "-o", str(out)]
    done = CliRunner().invoke(app, [*words, "--crop", "100,50,200,150"])
    assert done.exit_code == 0, done.output
    place = out / "mice.mapose.h5"
    assert load_provenance(place)["job"]["crop"] == [100, 50, 200, 150]
    points = load(place).points
    seen = points[np.isfinite(points).all(-1)]
    assert len(seen) and (seen >= [99.5, 49.5]).all() and (seen < [299.5, 199.5]).all()
    fault = CliRunner().invoke(app, words).exception
    assert "crop" in str(fault) and "--force" in str(fault)
    with pytest.raises(SettingsError, match="480 x 360 px"):
        analyze_file(video, make_untrained(), output=out / "x.mapose.h5", crop=(400, 0, 100, 100))


def test_a_crop_begins_where_cells_of_the_smallest_look_do():
    crop = (700, 500, 100, 100)
    starts = []
    for looks in (1, 3):
        model = make_untrained(looks=looks)
        cell = int(model.factor * model.network.multiple) * 2 ** (looks - 1)
        left, top, right, bottom = Predictor(model, crop=crop).view
        assert left % cell == top % cell == 0
        assert min(700 - left, 500 - top, right - 800, bottom - 600) >= 5 * cell
        starts.append(left)
    assert starts[1] < starts[0]
