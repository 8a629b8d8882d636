"""Keypoints that belong to no animal, from labels to results and back to DeepLabCut."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mapose.cli import app
from mapose.decode import assemble
from mapose.errors import SettingsError, ShapeError
from mapose.io import load, read, save, write, write_image
from mapose.kinematics import MeasureOptions, measure_poses
from mapose.labels import Labels
from mapose.landmarks import hide_landmarks, join_landmarks, pick_landmarks
from mapose.multiview.matching.identities import match_views
from mapose.poses import Peaks, Poses
from mapose.project.exporting import export_labels
from mapose.project.importing import import_labels, import_project
from mapose.project.project import Project
from mapose.results.comparison import compare_poses
from mapose.skeleton import LANDMARKS, Skeleton
from mapose.synthetic import make_scene
from mapose.tracking import track
from mapose.training.scores import score_frames
from mapose.training.training import train

ARENA = Skeleton(
    ["nose", "tail", "west", "east"],
    [("nose", "tail"), ("west", "east")],
    landmarks=["west", "east"],
)
TINY = ["network.widths=[8,8,8]", "network.depths=[0,0,0]", "train.steps=4", "train.batch=2",
        "train.view=64", "train.test=0.25"]  # fmt: skip


def make_walk(frames: int = 30) -> Poses:
    """Two animals that walk past each other, and two corners; slots of animals change places."""
    array = np.full((frames, 3, 4, 3), np.nan, np.float32)
    t = np.arange(frames, dtype=np.float32)
    array[:, 0, :2] = 1
    array[:, 0, 0, 0], array[:, 0, 1, 0], array[:, 0, :2, 1] = 20 + 2 * t, 10 + 2 * t, (30, 38)
    array[:, 1, :2] = 1
    array[:, 1, 0, 0], array[:, 1, 1, 0], array[:, 1, :2, 1] = 120 - 2 * t, 130 - 2 * t, (60, 68)
    array[:, 2, 2:] = [[5, 5, 0.9], [150, 5, 0.8]]
    array[..., 2] = np.nan_to_num(array[..., 2])
    array[::2, :2] = array[::2, 1::-1]
    return Poses(array, ARENA, rate=10)


def test_a_skeleton_knows_its_landmarks():
    assert ARENA.landmark_index.tolist() == [2, 3]
    assert Skeleton(**ARENA.to_dict()) == ARENA and "landmarks" not in Skeleton(["a"]).to_dict()
    assert ARENA.renamed({"west": "left"}).landmarks == ("left", "east")
    assert ARENA.take(np.array([0, 3])).landmarks == ("east",)
    with pytest.raises(ShapeError, match="one of them is a landmark"):
        Skeleton(["a", "b"], [("a", "b")], landmarks=["b"])
    with pytest.raises(ShapeError, match="no keypoint 'c'"):
        Skeleton(["a", "b"], landmarks=["c"])


def test_tracking_takes_them_for_nobody():
    walk = make_walk()
    tracked = track(walk, individuals=2)
    assert tracked.names == ("track0", "track1", LANDMARKS)
    assert (np.ptp(tracked.points[:, :2, 0, 1], axis=0) == 0).all()
    np.testing.assert_array_equal(tracked.points[:, 2, 2:], walk.points[:, 2, 2:])
    assert np.isnan(tracked.points[:, :2, 2:]).all() and np.isnan(tracked.points[:, 2, :2]).all()
    again = track(tracked)  # of a result, whose rows have names
    np.testing.assert_array_equal(again.array, tracked.array)
    assert again.names == tracked.names


def test_the_best_peak_of_each_is_in_the_last_slot():
    xy = [[20, 20], [30, 20], [80, 60], [90, 60], [5, 5], [7, 7], [150, 5]]
    peaks = Peaks(
        frame=np.zeros(7, np.int64),
        keypoint=np.array([0, 1, 0, 1, 2, 2, 3]),
        xy=np.array(xy, np.float32),
        score=np.array([0.9, 0.9, 0.8, 0.8, 0.5, 0.7, 0.2], np.float32),
        covariance=np.tile(np.eye(2, dtype=np.float32), (7, 1, 1)),
        pairs=np.array([[0, 1], [2, 3]]),
        edge=np.array([0, 0]),
        affinity=np.array([0.9, 0.9], np.float32),
        n_frames=2,
    )
    body = replace(ARENA, edges=(("nose", "tail"),))
    for individuals in (None, 2):
        poses = assemble(peaks, body, individuals=individuals)
        assert poses.array.shape[1] == 3 and poses.skeleton == body
        assert poses.points[0, :2, 0, 0].tolist() == [20, 80]
        assert poses.points[0, 2, 2:].tolist() == [[7, 7], [150, 5]]
        assert np.isnan(poses.points[0, :2, 2:]).all() and np.isnan(poses.points[1]).all()
    single = assemble(
        peaks.pick(np.array([True] * 2 + [False] * 2 + [True] * 3)), body, individuals=1
    )
    assert single.points[0, 1, 2:].tolist() == [[7, 7], [150, 5]]


def test_measures_and_scores_keep_them_apart(tmp_path):
    truth = track(make_walk(), individuals=2)
    found = replace(truth, array=truth.array + np.array([1, 0, 0], np.float32))
    compared = compare_poses(truth, found)
    assert compared.error.labelled == 2 * 2 * 30 and compared.tracks.idf1 == 1
    measured = measure_poses(truth, MeasureOptions(near=500.0))
    assert np.isnan(measured.apart[:, 2]).all() and np.isfinite(measured.apart[:, 0, 1]).all()
    who = {name for bout in measured.list_bouts() for name in str(bout).split("'")}
    assert LANDMARKS not in who
    save(truth, tmp_path / "walk.mapose.h5")
    again = load(tmp_path / "walk.mapose.h5")
    assert again.skeleton == ARENA and again.names == truth.names
    labels = Labels(
        truth.points, ARENA, ("v",) * 30, np.arange(30), (None,) * 30, truth.names
    )  # fmt: skip
    known = np.ones((30, 4), bool)
    scores = score_frames(labels, found, known=known)
    assert scores.landmarks is not None and scores.landmarks.labelled == 60
    assert scores.landmarks.mean == pytest.approx(1) and scores.error.labelled == 120
    assert "belong to no animal" in str(scores) and "landmarks" in scores.to_dict()


def test_deeplabcut_reads_and_writes_them(tmp_path):
    truth = track(make_walk(), individuals=2)
    write(truth, tmp_path / "walk.csv", "dlc-csv")
    head = pd.read_csv(tmp_path / "walk.csv", header=[0, 1, 2, 3], index_col=0).columns
    owners = {(who, part) for _, who, part, _ in head}
    assert ("single", "west") in owners and ("single", "nose") not in owners
    assert ("track0", "west") not in owners
    again = read(tmp_path / "walk.csv")
    assert again.names == truth.names and again.skeleton.landmarks == ("west", "east")
    np.testing.assert_allclose(again.array, truth.array, atol=1e-3)


def draw_project(folder: Path) -> Project:
    """Label eight grey images, an animal in each, and two corners."""
    rng = np.random.default_rng(0)
    points = np.full((8, 3, 4, 2), np.nan, np.float32)
    points[:, 0, :2] = rng.uniform(20, 60, (8, 1, 2)) + [[0, 0], [8, 4]]
    points[:, 1, :2] = rng.uniform(70, 110, (8, 1, 2)) + [[0, 0], [8, 4]]
    points[:, 2, 2:] = [[6, 6], [120, 6]]
    images = []
    for n in range(8):
        image = rng.integers(90, 110, (128, 128, 3), dtype=np.uint8)
        for x, y in points[n][np.isfinite(points[n]).all(-1)].astype(int):
            image[y - 2 : y + 3, x - 2 : x + 3] = 250
        folder.mkdir(exist_ok=True)
        images.append(folder / f"img{n:04d}.png")
        write_image(image, images[-1])
    project = Project.create(folder / "project", ARENA, individuals=["ann", "bob"])
    labels = Labels(points, ARENA, ("v",) * 8, np.arange(8), tuple(images),
                    ("ann", "bob", LANDMARKS), True)  # fmt: skip
    import_labels(project, labels)
    return Project.load(folder / "project")


def test_a_project_keeps_trains_and_exports_them(tmp_path):
    project = draw_project(tmp_path / "p")
    assert project.count == 2 and project.skeleton == ARENA
    said = yaml.safe_load((project.path / "mapose.yaml").read_text(encoding="utf-8"))
    assert said["landmarks"] == ["west", "east"] and said["individuals"] == ["ann", "bob"]
    model = train(project, preset="small", overrides=TINY, device="cpu")
    assert model.individuals == 2 and model.skeleton == ARENA
    assert not any("west" in link or "east" in link for link in model.links)
    assert np.isnan(model.reach[2:]).all()
    assert "landmarks" in model.record["metrics"]["test"]
    config = export_labels(project, "dlc", path=tmp_path / "dlc")
    said = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert said["uniquebodyparts"] == ["west", "east"]
    assert said["multianimalbodyparts"] == ["nose", "tail"] and said["individuals"] == [
        "ann",
        "bob",
    ]
    again, _ = import_project(tmp_path / "again", tmp_path / "dlc")
    assert again.skeleton.landmarks == ("west", "east") and again.individuals == ("ann", "bob")
    ours, theirs = project.load_labels(), again.load_labels()
    order = [theirs.individuals.index(name) for name in ours.individuals]
    np.testing.assert_allclose(theirs.points[:, order], ours.points, atol=1e-3)


def test_labels_of_landmarks_change_like_others(tmp_path):
    project = draw_project(tmp_path / "p")
    project = project.set_points("v", 0, {"west": (9, 9)}, individual=LANDMARKS)
    row = project.load_labels()
    assert row.points[0, row.individuals.index(LANDMARKS), 2].tolist() == [9, 9]
    with pytest.raises(SettingsError, match="nose is marked of ann"):
        project.add_landmark("nose")
    project = project.add_keypoint("door").add_landmark("door")
    assert project.skeleton.landmarks == ("west", "east", "door")
    assert project.undo().skeleton.landmarks == ("west", "east")
    assert project.redo().skeleton.landmarks == ("west", "east", "door")
    assert project.rename_keypoint("west", "left").skeleton.landmarks == ("left", "east", "door")
    result = CliRunner().invoke(
        app, ["skeleton", str(project.path), "--no-landmark", "door", "--json"]
    )
    assert json.loads(result.output)["landmarks"] == ["left", "east"]


def test_views_are_matched_without_them():
    scene = make_scene(2, 40, cameras=2)
    views = {}
    for name in scene.cameras.names:
        truth = scene.truth(name)
        names = truth.skeleton.keypoints
        array = np.full((40, 3, len(names) + 1, 3), np.nan, np.float32)
        array[:, :2, :-1] = truth.array
        array[:, 2, -1] = (3, 4, 1)
        skeleton = Skeleton([*names, "corner"], truth.skeleton.edges, landmarks=["corner"])
        views[name] = Poses(array, skeleton, [*truth.names, LANDMARKS], rate=truth.rate)
    matched = match_views(views, scene.cameras)
    for view in matched.values():
        assert view.names[-1] == LANDMARKS and len(view.names) == 3
        assert (view.points[:, -1, -1] == (3, 4)).all()
        assert np.isnan(view.points[:, :-1, -1]).all()


def test_parts_join_again():
    walk = track(make_walk(), individuals=2)
    joined = join_landmarks(hide_landmarks(walk), pick_landmarks(walk))
    np.testing.assert_array_equal(joined.array, walk.array)
    plain = Poses(np.ones((2, 1, 1, 3)), Skeleton(["a"]))
    assert pick_landmarks(plain) is None and join_landmarks(plain, None) is plain
