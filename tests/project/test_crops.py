"""A crop per video: training and analysis share it, coordinates stay in the whole picture."""

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.data import hide_outside
from mapose.errors import FormatError, SettingsError
from mapose.io import VideoWriter, load, load_provenance, write_image
from mapose.labels import Labels
from mapose.project import Project, load_crops, set_crop
from mapose.skeleton import Skeleton
from mapose.training.images import LabelledImages
from tests.untrained import make_untrained


@pytest.fixture
def project(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        with VideoWriter(tmp_path / f"{name}.mp4", 25) as writer:
            for _ in range(6):
                writer.write(rng.integers(0, 255, (96, 128), dtype=np.uint8))
    body = Skeleton(["a", "b"], [("a", "b")])
    videos = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    made = Project.create(tmp_path / "project", body, individuals=2, videos=videos)
    make_untrained(lively=True).save(made.path / "models" / "one")
    return made


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_crops_are_kept_by_video(project):
    assert load_crops(project) == {}
    assert run("crop", project.path, "a", "10,20,64,48").exit_code == 0
    set_crop(project, "b", crop=(0, 0, 128, 96))
    assert load_crops(project) == {"a": (10, 20, 64, 48), "b": (0, 0, 128, 96)}
    said = run("crop", project.path, "b", "--clear").output
    assert said.splitlines() == ["a: 10,20,64,48", "b: the whole picture"]
    with pytest.raises(SettingsError, match="128 x 96 px"):
        set_crop(project, "a", crop=(100, 0, 64, 48))
    with pytest.raises(SettingsError, match="no video 'c'"):
        set_crop(project, "c", crop=None)
    assert "wanted DIR VIDEO" in str(run("crop", project.path, "a").exception)
    assert "left,top,width,height" in str(run("crop", project.path, "a", "1,2,3").exception)
    (project.path / "crops.csv").write_text("video,left\na,ten\n")
    with pytest.raises(FormatError, match="wanted the columns"):
        load_crops(project)


def test_training_sees_nothing_else(project, tmp_path):
    image = np.arange(96 * 128, dtype=np.uint8).reshape(96, 128)
    hidden = hide_outside(image, (10, 20, 64, 48))
    assert (hidden[20:68, 10:74] == image[20:68, 10:74]).all() and hidden.shape == image.shape
    assert len(np.unique(hidden[:20])) == 1 and len(np.unique(hidden[:, 74:])) == 1
    assert hide_outside(image, None) is image
    set_crop(project, "a", crop=(10, 20, 64, 48))
    write_image(image, tmp_path / "frame.png")
    labels = Labels(
        np.full((2, 1, 2, 2), 30), project.skeleton, ("a", "b"), np.arange(2),
        (tmp_path / "frame.png",) * 2, ("x",),
    )  # fmt: skip
    cropped, whole = LabelledImages(project, labels)
    np.testing.assert_array_equal(cropped[..., 0], hidden)
    np.testing.assert_array_equal(whole[..., 0], image)


def test_analysis_looks_there_and_an_option_goes_before(project):
    set_crop(project, "a", crop=(10, 20, 64, 48))
    assert run("analyze", project.path).exit_code == 0
    results = {name: project.path / "results" / f"{name}.mapose.h5" for name in "ab"}
    assert load_provenance(results["a"])["job"]["crop"] == [10, 20, 64, 48]
    assert "crop" not in load_provenance(results["b"])["job"]
    points = load(results["a"]).points
    seen = points[np.isfinite(points).all(-1)]
    assert len(seen) and (seen >= [9.5, 19.5]).all() and (seen < [73.5, 67.5]).all()
    video = project.find_video("a")
    done = run("analyze", project.path, video, "--crop", "0,0,60,60", "--force")
    assert done.exit_code == 0, done.output
    assert load_provenance(results["a"])["job"]["crop"] == [0, 0, 60, 60]
