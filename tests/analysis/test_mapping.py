import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.analysis.mapping import find_maps, save_maps
from mapose.analysis.prediction import Predictor
from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import VideoWriter, read_image
from mapose.models import Identity
from mapose.plots import plot_scoremaps
from tests.untrained import make_untrained


@pytest.fixture
def video(tmp_path):
    with VideoWriter(tmp_path / "walk.mp4", 25) as writer:
        for level in range(4):
            image = np.full((64, 96), 40 * level, np.uint8)
            image[20:30, 40:50] = 255
            writer.write(image)
    return tmp_path / "walk.mp4"


def test_maps_are_those_that_candidates_come_from(video):
    predictor = Predictor(make_untrained(lively=True), device="cpu")
    image = np.full((64, 96), 90, np.uint8)
    maps = find_maps(image, predictor)
    assert maps.scores.shape == (1, 2, 16, 24) and maps.fields.shape == (1, 2, 16, 24)
    peaks = predictor.find_images([image])
    assert peaks.score.max() == pytest.approx(float(maps.scores.max()), abs=1e-5)


def test_a_peak_is_drawn_where_it_is():
    maps = np.zeros((1, 16, 24), np.float32)
    maps[0, 4, 20] = 1
    figure = plot_scoremaps(np.full((64, 96), 50, np.uint8), maps, ["nose"], pitch=4)
    drawn = figure.axes[0].images[1]
    left, right, low, high = drawn.get_extent()
    assert (left, right, high, low) == (-0.5, 95.5, -0.5, 63.5)
    assert figure.axes[0].get_title(loc="left").startswith("nose  1.00")
    assert drawn.get_alpha()[4, 20] > 0.5 and drawn.get_alpha()[0, 0] == 0


def test_the_command_draws_them(video, tmp_path):
    model = make_untrained(lively=True, identity=Identity(("ann", "bob")))
    model.network.add_marks(2)
    model.save(tmp_path / "model")
    words = ["plot", str(tmp_path / "model"), str(video), "--maps", "--frame", "2"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    names = sorted(p.name for p in (tmp_path / "walk-maps").iterdir())
    assert names == [f"frame000002-{n}.png" for n in ("candidates", "fields", "names", "scoremaps")]
    assert read_image(tmp_path / "walk-maps" / names[0]).std() > 5
    assert CliRunner().invoke(app, words).exit_code == 0  # made afresh
    (tmp_path / "walk-maps" / names[0]).write_bytes(b"mine")
    assert isinstance(CliRunner().invoke(app, words).exception, SettingsError)
    with pytest.raises(SettingsError, match="wanted 0 to 3 of walk, came 9"):
        list(save_maps(video, tmp_path / "model", folder=tmp_path / "out", frames=[9]))
    fault = CliRunner().invoke(app, ["plot", str(video), "--maps"]).exception
    assert "wanted MODEL VIDEO" in str(fault)
