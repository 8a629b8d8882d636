"""Projects and what comes into them, with real label sets of other tools."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapose.errors import FormatError, SettingsError, ShapeError, VideoError
from mapose.io import VideoWriter, read_image, write_image
from mapose.labels import Labels
from mapose.project.importing import import_labels, import_project
from mapose.project.project import Project
from mapose.skeleton import Skeleton


@pytest.fixture
def clip(tmp_path, rng):
    """A video of 30 frames, each of its own grey level."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25) as writer:
        for i in range(30):
            writer.write(np.full((48, 64), 8 * i, np.uint8))
    return path


def make_labels(clip, frames, keypoints=("a", "b")) -> Labels:
    points = np.arange(len(frames) * 2 * len(keypoints), dtype=np.float32)
    points = points.reshape(len(frames), 1, len(keypoints), 2)
    skeleton = Skeleton(keypoints)
    return Labels(
        points, skeleton, ("clip",) * len(frames), np.array(frames), (None,) * len(frames),
        ("animal0",), True, {"clip": clip},
    )  # fmt: skip


def test_a_project_is_what_was_made_and_can_be_moved(tmp_path, clip):
    made = Project.create(
        tmp_path / "one", Skeleton(["earL", "earR"]), individuals=["x", "y"], videos=[clip]
    )
    import_labels(made, make_labels(clip, [3], ("earL", "earR")))
    shutil.move(tmp_path / "one", tmp_path / "two")
    moved = Project.load(tmp_path / "two")
    assert moved.skeleton.mirror == (("earL", "earR"),)
    assert moved.individuals == ("x", "y") and moved.count == 2
    assert moved.find_video("clip").samefile(clip)
    assert len(moved.load_labels()) == 1
    text = (tmp_path / "two" / "mapose.yaml").read_text(encoding="utf-8")
    assert str(tmp_path) not in text


def test_frames_come_from_the_right_place_in_the_video(tmp_path, clip):
    project = Project.create(tmp_path / "p", Skeleton(["a", "b"]))
    report = import_labels(project, make_labels(clip, [20, 4, 11]))
    assert report.taken == 3
    labels = project.load_labels()
    for frame, image in zip(labels.frames, labels.images, strict=True):
        assert abs(int(read_image(image).mean()) - 8 * frame) <= 3


def test_importing_twice_keeps_what_is_here(tmp_path, clip):
    project = Project.create(tmp_path / "p", Skeleton(["a", "b"]))
    import_labels(project, make_labels(clip, [1, 2]))
    before = project.load_labels().points
    other = make_labels(clip, [2, 5])
    report = import_labels(project, replace(other, points=other.points + 100))
    assert (report.taken, report.twice) == (1, 1)
    after = project.load_labels()
    assert sorted(after.frames) == [1, 2, 5]
    np.testing.assert_array_equal(after.points[:2], before)


def test_dense_labels_are_thinned_out_evenly(tmp_path, clip):
    project = Project.create(tmp_path / "p", Skeleton(["a", "b"]))
    import_labels(project, make_labels(clip, range(30)), count=6)
    frames = np.sort(project.load_labels().frames)
    assert len(frames) == 6 and (frames // 5 == np.arange(6)).all()


def test_labels_that_do_not_fit_are_told(tmp_path, clip):
    project = Project.create(tmp_path / "p", Skeleton(["snout", "tail"]))
    with pytest.raises(ShapeError, match="did you mean 'snout'"):
        import_labels(project, make_labels(clip, [1], ("snoot", "tail")))
    with pytest.raises(FormatError, match="frame 99"):
        import_labels(project, make_labels(clip, [1, 99], ("snout", "tail")))
    lost = replace(make_labels(clip, [1], ("snout", "tail")), sources={})
    with pytest.raises(FormatError, match="has an image"):
        import_labels(project, lost)
    assert not list((tmp_path / "p" / "labels").iterdir())


def test_bad_projects_are_told(tmp_path, clip):
    with pytest.raises(SettingsError, match="mapose new"):
        Project.load(tmp_path)
    Project.create(tmp_path / "p", Skeleton(["a"]))
    with pytest.raises(SettingsError, match="exists already"):
        Project.create(tmp_path / "p", Skeleton(["a"]))
    with pytest.raises(SettingsError, match="at least one animal"):
        Project.create(tmp_path / "q", Skeleton(["a"]), individuals=0)
    with pytest.raises(VideoError):
        Project.create(tmp_path / "r", Skeleton(["a"]), videos=[tmp_path / "none.mp4"])
    (tmp_path / "p" / "mapose.yaml").write_text("keypionts: [a]\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="did you mean 'keypoints'"):
        Project.load(tmp_path / "p")
    project = Project.create(tmp_path / "s", Skeleton(["a"]), videos=[clip])
    with pytest.raises(SettingsError, match="did you mean 'clip'"):
        project.find_video("clop")
    clip.unlink()
    with pytest.raises(SettingsError, match="no longer at"):
        project.find_video("clip")
    with pytest.raises(SettingsError, match="mapose train"):
        project.load_model()


def test_images_round_trip(tmp_path, rng):
    image = rng.integers(0, 256, (20, 30, 3), np.uint8)
    write_image(image, tmp_path / "ä" / "x.png")
    assert (read_image(tmp_path / "ä" / "x.png") == image).all()
    cv2.imwrite(str(tmp_path / "y.bmp"), image[..., ::-1])
    write_image(tmp_path / "y.bmp", tmp_path / "z.png")
    assert (read_image(tmp_path / "z.png") == image).all()
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(FormatError, match="wanted an image"):
        read_image(tmp_path / "bad.png")


@pytest.mark.parametrize(
    ("source", "keypoints", "individuals", "frames"),
    [
        ("openfield_mouse", 4, 1, 91),
        ("reaching_mouse", 5, 1, 40),
        ("birds_montblanc", 4, 6, 15),
        ("mirror_mouse/CollectedData.csv", 17, 1, 70),
        ("fly_single/annotation_set.h5", 32, 1, 75),
        ("formats/minimal_instance.pkg.slp", 2, 2, 1),
    ],
)
def test_real_label_sets_come_in_with_one_call(
    recordings, tmp_path, source, keypoints, individuals, frames
):
    project, report = import_project(tmp_path / "p", recordings / source)
    assert len(project.skeleton.keypoints) == keypoints and project.count == individuals
    labels = project.load_labels()
    assert report.taken == len(labels) == frames
    for image, points in zip(labels.images, labels.points, strict=True):
        high, wide = read_image(image).shape[:2]
        inside = (points > -20).all(-1) & (points < [wide + 20, high + 20]).all(-1)
        assert inside[np.isfinite(points).all(-1)].all()


def test_keypoints_are_renamed_on_the_way_in(recordings, tmp_path):
    project, _ = import_project(
        tmp_path / "p", recordings / "openfield_mouse", rename={"snout": "nose"}, count=3
    )
    assert project.skeleton.keypoints[0] == "nose" and len(project.load_labels()) == 3
    with pytest.raises(ShapeError, match="did you mean 'snout'"):
        import_project(tmp_path / "q", recordings / "openfield_mouse", rename={"snoot": "nose"})


def test_a_count_takes_every_frame_once(tmp_path):
    """Of 80 frames 30: stretches of two or three, none of which gives the same frame."""
    from mapose.project.importing import _choose_rows

    class Many:
        def __init__(self, size):
            self.size = size

        def __len__(self):
            return self.size

    for size, count in ((80, 30), (7, 5), (100, 99), (600, 30)):
        rows = _choose_rows(Many(size), count)
        assert len(set(rows.tolist())) == count and rows.max() < size
        assert np.diff(rows).max() <= 2 * -(-size // count)


def test_what_a_killed_try_has_left_is_no_project(tmp_path, clip):
    (tmp_path / "p" / "labels").mkdir(parents=True)
    (tmp_path / "p" / "mapose.yaml.1-host.tmp").write_text("half", encoding="utf-8")
    (tmp_path / "p" / "mapose.yaml.lock").touch()
    with pytest.raises(VideoError):
        Project.create(tmp_path / "p", Skeleton(["a"]), videos=[tmp_path / "none.mp4"])
    Project.create(tmp_path / "p", Skeleton(["a"]), videos=[clip])
    assert not (tmp_path / "p" / "mapose.yaml.lock").exists()
    (tmp_path / "q" / "labels").mkdir(parents=True)
    (tmp_path / "q" / "labels" / "mine.txt").touch()
    with pytest.raises(SettingsError, match="exists already"):
        Project.create(tmp_path / "q", Skeleton(["a"]))


def test_an_import_that_fails_leaves_no_project_in_the_way(tmp_path, clip, monkeypatch):
    labels = make_labels(clip, [3, 90])
    monkeypatch.setattr("mapose.project.importing.read_labels", lambda *_, **__: labels)
    with pytest.raises(FormatError):  # the video has 30 frames
        import_project(tmp_path / "p", clip)
    assert not (tmp_path / "p").exists()
    labels = make_labels(clip, [3, 9])
    project, report = import_project(tmp_path / "p", clip, rename={"a": "snout"})
    assert report.taken == 2 and project.skeleton.keypoints == ("snout", "b")


def test_projects_read_before_another_program_added_videos_lose_none(tmp_path, clip):
    shutil.copy(clip, tmp_path / "other.mp4")
    one = Project.create(tmp_path / "p", Skeleton(["a"]))
    two = Project.load(tmp_path / "p")
    one.add_videos([clip])
    two.add_videos([tmp_path / "other.mp4"])
    assert set(Project.load(tmp_path / "p").videos) == {"clip", "other"}


def test_pairs_that_are_missing_are_guessed_from_names(tmp_path):
    names = ["head", "wingL", "wingR", "legL", "legR", "near", "far"]
    skeleton = Skeleton(names, mirror=[("near", "far"), ("wingR", "wingL")])
    project = Project.create(tmp_path / "flies", skeleton)
    assert project.skeleton.mirror == (("near", "far"), ("wingR", "wingL"), ("legL", "legR"))
