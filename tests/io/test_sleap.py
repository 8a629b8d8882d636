import json
import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import sleap_io as sio

from mapose.errors import FormatError
from mapose.io.sleap import read_slp_images, read_slp_labels, read_slp_poses, write_slp
from mapose.io.sleap_analysis import read_analysis_labels, read_analysis_poses
from mapose.io.video_writer import VideoWriter
from mapose.poses import Poses
from mapose.skeleton import Skeleton

FLY = Skeleton(["head", "wingL", "wingR"], [("head", "wingL")], [("wingL", "wingR")])


def make_video(path: Path, n: int, size: tuple[int, int] = (32, 48)) -> None:
    with VideoWriter(path, 25) as writer:
        for i in range(n):
            writer.write(np.full(size, 10 * i, np.uint8))


def make_file(
    path: Path,
    *,
    videos: list[str],
    tracks: list[str | None],
    by_hand: bool = False,
    frames: int = 4,
    absent: tuple[int, int] | None = None,
) -> None:
    """Write instances at (100 f + 10 i + k, f) of frame f, individual i, keypoint k."""
    skeleton = sio.Skeleton(
        list(FLY.keypoints), edges=[("head", "wingL")], symmetries=[("wingL", "wingR")]
    )
    sources = [sio.Video(v, open_backend=False) for v in videos]
    known = {t: sio.Track(t) for t in tracks if t}
    found = []
    for video in sources:
        for f in range(frames):
            instances = []
            for i, track in enumerate(tracks):
                xy = np.array([[100 * f + 10 * i + k, f] for k in range(3)], float)
                kind = sio.Instance if by_hand else sio.PredictedInstance
                if (f, i) != absent:
                    owner = known.get(track) if track else None
                    instances.append(kind.from_numpy(xy, skeleton, track=owner))
            found.append(sio.LabeledFrame(video, f, instances))
    labels = sio.Labels(found, videos=sources, skeletons=[skeleton], tracks=list(known.values()))
    sio.save_slp(labels, str(path), embed=False, verbose=False)


def test_dense_predictions_with_identities(recordings: Path) -> None:
    folder = recordings / "flies_courtship"
    labels = read_slp_labels(folder / "predictions.slp")
    truth = np.load(folder / "labels.npz")
    assert labels.identified
    assert labels.individuals == tuple(truth["tracks"]) == ("track_0", "track_1")
    assert labels.skeleton.keypoints == tuple(truth["keypoints"])
    assert labels.skeleton.edge_index.tolist() == truth["edges"].tolist()
    np.testing.assert_allclose(labels.points, truth["points"], atol=1e-3)
    assert labels.frames.tolist() == list(range(3000))
    video = folder / "20190128_113421.120s.mp4"
    assert labels.sources == {video.stem: video} and set(labels.videos) == {video.stem}


def test_predictions_as_poses(recordings: Path) -> None:
    folder = recordings / "flies_courtship"
    poses = read_slp_poses(folder / "predictions.slp")
    dense = read_analysis_poses(folder / "predictions.analysis.h5")
    assert poses.individuals == dense.individuals == ("track_0", "track_1")
    assert poses.rate == 25
    np.testing.assert_allclose(poses.points, dense.points, atol=1e-3)
    assert 0 < poses.confidence[poses.confidence > 0].min() < 0.5


def test_another_encoding_of_the_video_is_taken(
    recordings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = recordings / "flies_pair_noisy"
    with caplog.at_level(logging.WARNING):
        labels = read_slp_labels(folder / "centered_pair_predictions.slp")
    assert labels.sources == {"centered_pair_small": folder / "centered_pair_small.mp4"}
    assert "taking centered_pair_small.mp4" in caplog.text
    # 27 fragments of tracks for two animals are no identities.
    assert not labels.identified
    assert labels.points.shape == (1100, 5, 24, 2)


def test_every_track_is_an_individual_of_poses(recordings: Path) -> None:
    folder = recordings / "flies_pair_noisy"
    poses = read_slp_poses(folder / "centered_pair_predictions.slp")
    rows = pd.read_csv(folder / "predictions.csv", dtype={"track": str})
    assert poses.array.shape == (1100, 27, 24, 3)
    shown = rows[rows.x.notna()]
    i = [poses.names.index(t) for t in shown.track]
    k = [poses.skeleton.index(n) for n in shown.keypoint]
    found = poses.array[shown.frame, i, k]
    np.testing.assert_allclose(found[:, :2], shown[["x", "y"]], atol=6e-3)
    np.testing.assert_allclose(found[:, 2], shown.score.clip(0, 1), atol=6e-4)
    assert (poses.confidence > 0).sum() == (shown.score > 0).sum()


def test_user_labels(recordings: Path) -> None:
    labels = read_slp_labels(recordings / "formats/small_robot_minimal.slp")
    assert labels.frames.tolist() == [0, 79]
    np.testing.assert_allclose(labels.points[0, 0, 0], [316.48975, 47.69157])
    assert labels.sources == {"small_robot": recordings / "formats/small_robot.mp4"}


def test_images_inside_the_file(recordings: Path) -> None:
    path = recordings / "formats/minimal_instance.pkg.slp"
    labels = read_slp_labels(path)
    assert labels.points.shape == (1, 2, 2, 2)
    assert labels.images == (None,)
    ((row, image),) = list(read_slp_images(path, labels))
    assert row == 0 and image.shape == (384, 384) and image.dtype == np.uint8
    x, y = labels.points[0, :, 0].astype(int).T  # two bright flies on dark ground
    assert (image[y, x] > 100).all() and image.mean() < 10
    assert list(read_slp_images(path, labels.take([]))) == []


def test_user_instances_come_before_predictions(tmp_path: Path) -> None:
    path = tmp_path / "x.slp"
    make_file(path, videos=["a.mp4"], tracks=["f", "m"])
    labels = sio.load_slp(str(path))
    first = labels[1]
    moved = sio.Instance.from_numpy(
        np.full((3, 2), 7.0), labels.skeleton, track=first[0].track, from_predicted=first[0]
    )
    first.instances.append(moved)
    sio.save_slp(labels, str(path), embed=False, verbose=False)
    read = read_slp_labels(path)
    assert read.frames.tolist() == [1] and read.points.shape == (1, 1, 3, 2)
    assert (read.points == 7).all()
    poses = read_slp_poses(path)
    assert poses.individuals == ("f", "m") and len(poses) == 4
    assert (poses["f"].points[1] == 7).all() and poses["f", "head"][1, 2] == 1
    assert poses["m", "wingR"][1, :2].tolist() == [112, 1]


def test_videos_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.slp"
    make_file(path, videos=["C:\\one\\cam.avi", "C:\\two\\cam.avi"], tracks=[None], by_hand=True)
    labels = read_slp_labels(path)
    assert len(labels) == 8
    assert set(labels.videos) == {"one-cam", "two-cam"}
    with pytest.raises(FormatError, match="one video, found 2"):
        read_slp_poses(path)


def test_tracks_named_otherwise_in_each_video_share_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.slp"
    make_file(path, videos=["a.mp4"], tracks=["p", "q"], absent=(0, 0))
    labels = read_slp_labels(path)
    assert labels.identified and set(labels.individuals) == {"p", "q"}
    p, q = labels.individuals.index("p"), labels.individuals.index("q")
    assert np.isnan(labels.points[0, p]).all()
    assert labels.points[:, q, 0, 0].tolist() == [10, 110, 210, 310]


def test_a_stand_in_video_must_fit(tmp_path: Path) -> None:
    make_file(tmp_path / "x.slp", videos=["gone.mp4"], tracks=[None], frames=6)
    make_video(tmp_path / "short.mp4", 5)
    assert read_slp_labels(tmp_path / "x.slp").sources == {}
    make_video(tmp_path / "short.mp4", 6)
    assert set(read_slp_labels(tmp_path / "x.slp").sources) == {"short"}
    make_video(tmp_path / "other.mp4", 6)
    assert read_slp_labels(tmp_path / "x.slp").sources == {}
    shutil.copy(tmp_path / "other.mp4", tmp_path / "gone.avi")
    assert read_slp_labels(tmp_path / "x.slp").sources == {"gone": tmp_path / "gone.avi"}


def test_slp_written_here_is_read_by_sleap_io_and_back(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    array = rng.uniform(0.1, 0.9, (6, 2, 3, 3)).astype(np.float32)
    array[2, 1, :, :2] = np.nan
    array[5, :, 0] = np.nan
    poses = Poses(array, FLY, ["f", "m"])
    write_slp(poses, tmp_path / "r.slp", video="v.mp4")
    theirs = sio.load_slp(str(tmp_path / "r.slp"))
    assert [t.name for t in theirs.tracks] == ["f", "m"]
    assert theirs.video.filename == "v.mp4"
    assert len(theirs[2].instances) == 1
    np.testing.assert_allclose(theirs[0].instances[1].numpy(), poses.points[0, 1], rtol=1e-6)
    again = read_slp_poses(tmp_path / "r.slp")
    np.testing.assert_allclose(again.array, poses.array, rtol=1e-6)
    assert again.skeleton == FLY
    slots = Poses(array, FLY)
    write_slp(slots, tmp_path / "r.slp")
    assert read_slp_poses(tmp_path / "r.slp").individuals is None
    assert [p.name for p in tmp_path.iterdir()] == ["r.slp"]


def test_3d_does_not_fit_a_slp(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="2D"):
        write_slp(Poses(np.ones((2, 1, 3, 4)), FLY), tmp_path / "r.slp")


@pytest.mark.parametrize("preset", ["matlab", "standard"])
def test_both_orders_of_an_analysis_file(tmp_path: Path, preset: str) -> None:
    make_video(tmp_path / "v.mp4", 5)
    make_file(tmp_path / "x.slp", videos=[str(tmp_path / "v.mp4")], tracks=["f", "m"], frames=5)
    source = sio.load_slp(str(tmp_path / "x.slp"))
    path = tmp_path / "x.analysis.h5"
    sio.save_analysis_h5(source, str(path), preset=preset)
    poses = read_analysis_poses(path)
    assert poses.array.shape == (5, 2, 3, 3)
    assert poses.individuals == ("f", "m") and poses.skeleton.edges == FLY.edges
    assert poses["m", "wingR"][3, :2].tolist() == [312, 3]
    labels = read_analysis_labels(path)
    assert labels.identified and labels.sources == {"v": tmp_path / "v.mp4"}
    with h5py.File(path, "r+") as file:  # as written before the axes were named
        del file["tracks"].attrs["dims"]
    np.testing.assert_array_equal(read_analysis_poses(path).points, poses.points)
    with h5py.File(path, "r+") as file:
        file["tracks"].attrs["dims"] = json.dumps(["frame", "track", "node", "z"])
    with pytest.raises(FormatError, match="fit neither"):
        read_analysis_poses(path)


def test_real_analysis_files(recordings: Path) -> None:
    path = recordings / "mouse_4cam/top/minimal_top_proofread.analysis.h5"
    poses = read_analysis_poses(path)
    slp = read_slp_poses(path.with_name("minimal_top_proofread.slp"))
    np.testing.assert_allclose(poses.points, slp.points, atol=1e-3)
    robot = read_analysis_labels(recordings / "formats/small_robot_3_frame.analysis.h5")
    assert robot.points.shape == (3, 1, 3, 2) and set(robot.sources) == {"small_robot_3_frame"}


def test_what_is_no_slp_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "x.slp"
    path.write_bytes(b"no hdf5 at all")
    with pytest.raises(FormatError, match="cannot be read as slp"):
        read_slp_labels(path)
    make_file(path, videos=["a.mp4"], tracks=[])
    with pytest.raises(FormatError, match="no labelled or predicted instance"):
        read_slp_labels(path)
