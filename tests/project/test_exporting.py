"""Labels written for other tools are what their own readers find there."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sleap_io as sio
import yaml

from mapose.errors import FormatError, SettingsError
from mapose.io import read_labels
from mapose.labels import OCCLUDED
from mapose.project.exporting import export_labels
from mapose.project.importing import import_project
from mapose.project.project import Project


@pytest.fixture
def labelled(mice):
    mice = mice.set_points("film", 1, {"snout": (10.5, 12), "earL": (14, 16)}, individual="ann",
                           occluded=["earL"])  # fmt: skip
    mice = mice.set_state("film", 1, ["earR"], "absent", individual="ann")
    mice = mice.set_points("film", 1, {"snout": (30, 31)}, individual="bob")
    return mice.set_points("film", 3, {"earR": (5, 6)}, individual="bob")


def check_same(project: Project, again) -> None:
    """All marked frames come back with the same points."""
    labels = project.load_labels()
    assert again.skeleton.keypoints == labels.skeleton.keypoints
    assert again.skeleton.edges == labels.skeleton.edges
    assert again.individuals == labels.individuals
    order = np.argsort(again.frames)
    np.testing.assert_array_equal(again.frames[order], labels.frames)
    np.testing.assert_allclose(again.points[order], labels.points, atol=1e-3)


def test_a_deeplabcut_project_has_what_deeplabcut_reads(labelled):
    config = export_labels(labelled, "dlc", scorer="Zoe")
    folder = config.parent
    assert folder.name.startswith("mice-Zoe-20")
    plan = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert plan["multianimalproject"] is True and plan["identity"] is True
    assert plan["individuals"] == ["ann", "bob"] and plan["bodyparts"] == "MULTI!"
    assert plan["multianimalbodyparts"] == ["snout", "earL", "earR"]
    assert plan["project_path"] == str(folder) and plan["skeleton"] == [["snout", "earL"]]
    (video,) = plan["video_sets"]
    assert Path(video).samefile(labelled.find_video("film"))
    assert plan["video_sets"][video] == {"crop": "0, 64, 0, 48"}
    place = folder / "labeled-data" / "film"
    table = pd.read_hdf(place / "CollectedData_Zoe.h5", "df_with_missing")
    assert table.columns.names == ["scorer", "individuals", "bodyparts", "coords"]
    assert table.index[0] == ("labeled-data", "film", "img0001.png")
    first = table.iloc[0]
    assert (first["Zoe", "ann", "snout", "x"], first["Zoe", "ann", "snout", "y"]) == (10.5, 12)
    assert np.isnan(first["Zoe", "ann", "earR", "x"])
    for row in table.index:
        assert (folder / Path(*row)).is_file()
    csv = pd.read_csv(place / "CollectedData_Zoe.csv", header=[0, 1, 2, 3], index_col=[0, 1, 2])
    np.testing.assert_allclose(csv.to_numpy(), table.to_numpy())
    check_same(labelled, read_labels(folder))
    with pytest.raises(SettingsError, match="new or empty"):
        export_labels(labelled, "dlc", scorer="Zoe")
    with pytest.raises(SettingsError, match="letters and digits"):
        export_labels(labelled, "dlc", scorer="../Zoe")


def test_videos_of_a_deeplabcut_project_are_called_like_their_labels(labelled, tmp_path):
    """Its ``create_training_dataset`` finds labels by the names of the videos in the config."""
    film = labelled.find_video("film")
    other = labelled.add_videos({"day2-film": film}).add_frames("day2-film", [5])
    other = other.set_points("day2-film", 5, {"snout": (1, 2)}, individual="ann")
    film.rename(tmp_path / "moved.mp4")
    config = export_labels(other, "dlc", path=tmp_path / "gone")
    videos = yaml.safe_load(config.read_text(encoding="utf-8"))["video_sets"]
    assert [Path(v) for v in videos] == [
        tmp_path / "gone" / "videos" / f"{name}.mp4" for name in ("day2-film", "film")
    ]
    (tmp_path / "moved.mp4").rename(film)
    config = export_labels(other, "dlc", path=tmp_path / "there")
    videos = yaml.safe_load(config.read_text(encoding="utf-8"))["video_sets"]
    assert [Path(v).stem for v in videos] == ["day2-film", "film"]
    assert all(Path(v).samefile(film) for v in videos)


def test_sleap_opens_the_labels_with_their_video(labelled):
    place = export_labels(labelled, "slp")
    loaded = sio.load_slp(str(place))
    assert len(loaded.videos) == 1 and len(loaded.videos[0]) == 30
    assert [t.name for t in loaded.tracks] == ["ann", "bob"]
    frame = next(lf for lf in loaded if lf.frame_idx == 1)
    assert len(frame.user_instances) == 2 and not frame.predicted_instances
    np.testing.assert_allclose(frame.user_instances[0].numpy()[:2], [[10.5, 12], [14, 16]])
    assert abs(int(frame.image.mean()) - 8) <= 3
    check_same(labelled, read_labels(place))
    export_labels(labelled, "slp")  # made by the same command: made afresh
    place.write_bytes(b"mine")
    with pytest.raises(SettingsError, match="--force"):
        export_labels(labelled, "slp")


def test_sleap_gets_images_where_the_video_is_gone(labelled):
    labelled.find_video("film").unlink()
    place = export_labels(labelled, "slp")
    loaded = sio.load_slp(str(place))
    assert abs(int(loaded[0].image.mean()) - 8) <= 3
    again = read_labels(place)
    assert again.images[0].name == "frame000001.png"


def test_coco_keeps_what_is_hidden(labelled, tmp_path):
    place = export_labels(labelled, "coco", path=tmp_path / "labels.json")
    document = json.loads(place.read_text(encoding="utf-8"))
    assert document["images"][0]["width"] == 64
    assert (place.parent / document["images"][0]["file_name"]).is_file()
    first = document["annotations"][0]
    assert first["keypoints"] == [10.5, 12, 2, 14, 16, 1, 0, 0, 0] and first["num_keypoints"] == 2
    again = read_labels(place)
    assert again.states[0, 0, 1] == OCCLUDED
    labels = labelled.load_labels()
    np.testing.assert_allclose(again.points[0, :2], labels.points[0], atol=1e-3)


def test_no_export_is_written_over_what_it_reads(labelled, tmp_path):
    for name, file in (("a.slp", "mapose.yaml"), ("b.slp", "labels/film/frame000001.png")):
        os.link(labelled.path / file, tmp_path / name)
        with pytest.raises(SettingsError, match="is read"):
            export_labels(labelled, "slp", path=tmp_path / name, force=True)


def test_what_cannot_be_exported_is_told(mice, tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'slp'"):
        export_labels(mice, "spl")
    empty = Project.create(tmp_path / "empty", mice.skeleton)
    with pytest.raises(FormatError, match="no labels"):
        export_labels(empty, "slp")


@pytest.mark.parametrize(
    "source", ["openfield_mouse", "birds_montblanc", "flies_courtship/predictions.slp"]
)
def test_real_projects_go_in_are_labelled_further_and_come_out(recordings, tmp_path, source):
    project, _ = import_project(tmp_path / "p", recordings / source, count=5)
    labels = project.load_labels()
    name, part = labels.individuals[0], labels.skeleton.keypoints[1]
    project = project.set_points(
        labels.videos[0], labels.images[0].name, {part: (20.25, 21.5)}, individual=name
    )
    project = project.rename_keypoint(part, "other").add_keypoint("new", after="other")
    kept = project.load_labels()
    assert np.isfinite(kept.points).all(-1).sum() >= np.isfinite(labels.points).all(-1).sum()
    moved = tmp_path / "moved"
    project.path.rename(moved)
    project = Project.load(moved)
    for format, name in (("dlc", "dlc"), ("slp", "l.slp"), ("coco", "l.json")):
        place = export_labels(project, format, path=tmp_path / name)
        again = read_labels(place)
        want = project.load_labels()
        assert np.isfinite(again.points).sum() == np.isfinite(want.points).sum()
        assert set(again.skeleton.keypoints) == set(want.skeleton.keypoints)
        found = again.points[:, :, again.skeleton.index("other")]
        assert (np.abs(found - [20.25, 21.5]) < 1e-3).all(-1).any()
