"""Frames put into a project to be labelled; until then, nothing is trained on them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import FormatError, SettingsError
from mapose.io import Video, VideoWriter, read_image
from mapose.project import Project, import_labels
from mapose.project.crops import set_crop
from mapose.project.extracting import extract_frames, select_frames
from mapose.project.proposals import accept_proposals, drop_proposals, load_proposals
from mapose.skeleton import Skeleton
from tests.project.test_project import make_labels

KINDS = 6


def film(path: Path, seed: int, every: int = 30) -> Path:
    """Film a square that rests at one place after another, in front of noise."""
    rng = np.random.default_rng(seed)
    with VideoWriter(path, 25) as writer:
        for n in range(KINDS * every):
            image = rng.normal(90, 2, (96, 128))
            x = 8 + 18 * (n // every)
            image[30:50, x : x + 14] = 230
            writer.write(np.clip(image, 0, 255).astype(np.uint8))
    return path


@pytest.fixture
def project(tmp_path) -> Project:
    videos = [film(tmp_path / f"{name}.mp4", seed) for seed, name in enumerate("ab")]
    return Project.create(tmp_path / "p", Skeleton(["snout", "tail"]), videos=videos)


@pytest.mark.parametrize("method", ["kmeans", "different"])
def test_one_frame_of_each_kind_is_chosen(project, method):
    found = select_frames(project.find_video("a"), KINDS, method=method)
    assert sorted(found // 30) == list(range(KINDS))
    again = select_frames(project.find_video("a"), KINDS, method=method, known=[5, 40])
    assert sorted(again // 30) == [2, 3, 4, 5]


def test_what_changes_outside_of_a_crop_is_not_looked_at(project):
    """In the right half the square is to be seen in three of its six places."""
    set_crop(project, "a", crop=(62, 0, 66, 96))
    found = extract_frames(project, KINDS, videos=["a"]).frames["a"]
    assert {n // 30 for n in found} >= {3, 4, 5} and len(found) == 4  # and one without it


@pytest.mark.parametrize("method", ["uniform", "random"])
def test_what_looks_alike_is_left_out_of_other_choices_as_well(project, method):
    found = select_frames(project.find_video("a"), 20, method=method)
    assert sorted(found // 30) == list(range(KINDS))


def test_extracted_frames_wait_and_are_not_labels(project):
    report = extract_frames(project, 4, method="random", seed=3)
    assert len(report.frames["a"]) == 4 and "a: 4 of 4" in str(report)
    waiting = load_proposals(project)
    # What looks the same in another video is left out there, too.
    assert len(waiting) == 4 + len(report.frames["b"]) and not waiting.looked.any()
    assert np.isnan(waiting.labels.points).all()
    for video, n, image in zip(
        waiting.labels.videos, waiting.labels.frames, waiting.labels.images, strict=True
    ):
        with Video(project.find_video(video)) as source:
            np.testing.assert_array_equal(read_image(image), source[int(n)])
    with pytest.raises(FormatError, match="no labels"):
        project.load_labels()
    with pytest.raises(SettingsError, match="nothing is marked"):
        accept_proposals(project, [waiting.labels.row_names[0]])
    assert len(accept_proposals(project)) == 0


def test_a_second_extraction_adds_only_what_is_new(project):
    first = extract_frames(project, 3, videos=["a"])
    second = extract_frames(project, KINDS, videos=["a"])
    kinds = [n // 30 for report in (first, second) for n in report.frames["a"]]
    assert sorted(kinds) == list(range(KINDS))
    assert "3 of 6 frames: no more" in str(second)
    assert len(load_proposals(project)) == KINDS


def test_what_is_labelled_is_not_chosen_and_its_proposals_are_gone(project):
    extract_frames(project, KINDS, videos=["a"])
    chosen = load_proposals(project).labels.frames[0]
    labels = make_labels(project.find_video("a"), [int(chosen)], ("snout", "tail"))
    import_labels(project, replace(labels, videos=("a",), sources={"a": project.find_video("a")}))
    assert len(project.load_labels()) == 1
    assert chosen not in load_proposals(project).labels.frames
    assert extract_frames(project, KINDS, method="different", videos=["a"]).frames["a"] == []


def test_cameras_of_a_session_get_the_same_moments(project):
    found = extract_frames(project, KINDS, sessions=[("a", "b")]).frames
    assert found["a"] == found["b"] and len(found["a"]) == KINDS
    with pytest.raises(SettingsError, match="twice"):
        extract_frames(project, 2, sessions=[("a", "b"), ("b",)])


def test_sessions_of_the_project_are_known(project):
    third = film(project.path.parent / "c.mp4", 5)
    project = project.add_session("may", {"top": third, "side": project.find_video("b")})
    found = extract_frames(project, 3).frames
    assert found["b"] == found["c"] and set(found) == {"a", "b", "c"}


def test_labels_filled_in_by_hand_are_taken_over(project):
    extract_frames(project, 2, videos=["a"])
    path = project.path / "labels" / "a" / "proposals.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    first = table.image == table.image[0]
    table.loc[first & (table.keypoint == "snout"), ["x", "y"]] = ["12.5", "7"]
    table.to_csv(path, index=False)
    assert len(accept_proposals(project)) == 1
    labels = project.load_labels()
    np.testing.assert_allclose(labels.points[0, 0], [[12.5, 7], [np.nan, np.nan]])
    assert len(load_proposals(project)) == 1
    (waiting,) = load_proposals(project).labels.images
    assert drop_proposals(project) == 1
    assert not waiting.exists() and labels.images[0].exists() and not path.exists()


def test_frames_whose_images_are_gone_no_longer_wait(project):
    extract_frames(project, 3, videos=["a"])
    first, *_ = load_proposals(project).labels.images
    first.unlink()
    assert len(load_proposals(project)) == 2


def test_all_that_waited_is_labelled_elsewhere(project):
    extract_frames(project, 2, videos=["a"])
    frames = load_proposals(project).labels.frames.tolist()
    labels = make_labels(project.find_video("a"), frames, ("snout", "tail"))
    import_labels(project, replace(labels, videos=("a",) * 2, sources={}, images=tuple(
        load_proposals(project).labels.images)))  # fmt: skip
    assert len(load_proposals(project)) == 0
    assert len(accept_proposals(project)) == 0
    assert not (project.path / "labels" / "a" / "proposals.csv").exists()


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("image", "../x.png", "names of images"),
        ("x", "left", "not a number"),
        ("frame", "1.5", "whole frame numbers"),
    ],
)
def test_tables_that_make_no_sense_are_refused(project, column, value, told):
    extract_frames(project, 2, videos=["a"])
    path = project.path / "labels" / "a" / "proposals.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(FormatError, match=told):
        load_proposals(project)


def test_rows_of_a_keypoint_that_is_none_are_left_out_and_told(project, caplog):
    extract_frames(project, 2, videos=["a"])
    path = project.path / "labels" / "a" / "proposals.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[1, "keypoint"] = "snuot"
    table.to_csv(path, index=False)
    assert len(load_proposals(project)) == 2
    assert "no keypoint snuot: did you mean 'snout'" in caplog.text


def test_the_command_extracts(project):
    words = ["extract", str(project.path), "--count", "2", "--json", "--session", "a,b"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    found = json.loads(result.stdout)
    assert found["method"] == "kmeans" and len(found["frames"]["a"]) == 2
    assert (project.path / "labels" / "a" / f"frame{found['frames']['a'][0]:06d}.png").is_file()
