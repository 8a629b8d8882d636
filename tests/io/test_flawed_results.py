"""Results of other tools as people have them: put together, cut, converted, of other programs."""

import json
import logging

import h5py
import numpy as np
import pytest
import sleap_io as sio
import xarray as xr

from mapose import read
from mapose.errors import FormatError
from mapose.io import VideoWriter, read_labels

COORDS = ("x", "y", "likelihood")


def dlc(path, rows, coords=COORDS):
    head = (
        ("scorer", *["net"] * 6), ("bodyparts", *["n"] * 3, *["t"] * 3), ("coords", *coords * 2),
    )  # fmt: skip
    text = "\n".join(",".join(map(str, row)) for row in (*head, *rows))
    path.write_text(text + "\n", encoding="utf-8")
    return path


def test_points_without_a_likelihood_are_there(tmp_path):
    """Filled by hand or by interpolation in DeepLabCut, edited in movement, converted elsewhere."""
    poses = read(dlc(tmp_path / "p.csv", [(0, 10, 20, 0.5, 30, 40, ""), (1, "", "", "", 1, 2, 0)]))
    assert poses.confidence[:, 0].tolist() == [[0.5, 1], [0, 0]]


@pytest.mark.parametrize("coords", [("X", "Y", "Likelihood"), ("x", "y", "confidence")])
def test_coords_by_other_names(tmp_path, coords):
    poses = read(dlc(tmp_path / "p.csv", [(0, 10, 20, 0.5, 30, 40, 0.25)], coords))
    assert poses.confidence[0, 0].tolist() == [0.5, 0.25]
    np.testing.assert_array_equal(poses.points[0, 0], [[10, 20], [30, 40]])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(0, *[5] * 6), (1, *[5] * 6), (0, *[5] * 6)], "frame 0 comes 2 times"),
        ([(-1, *[5] * 6), (0, *[5] * 6)], "wanted frame numbers from 0, came -1"),
        (
            [("0 days 00:00:00.04", *[5] * 6)],
            "frame numbers in its first column, came times",
        ),
    ],
)
def test_rows_that_are_no_frames_of_one_video(tmp_path, rows, told):
    with pytest.raises(FormatError, match=told):
        read(dlc(tmp_path / "p.csv", rows))


def test_animals_that_lie_in_the_corner_are_not_there(tmp_path, caplog):
    rows = [(0, 0, 0, 1, 0, 0, 1), (1, 0, 0, 1, 30, 40, 1)]
    poses = read(dlc(tmp_path / "p.csv", rows))
    assert np.isfinite(poses.points).all(-1)[:, 0].tolist() == [[False, False], [True, True]]
    assert "2 points at 0, 0 stand for none" in caplog.text


def test_shares_of_the_picture_are_told(tmp_path, caplog):
    shares = [(f, 0.1, 0.2, 0.9, 0.25, 0.5, 0.9) for f in range(3)]
    read(dlc(tmp_path / "p.csv", shares))
    assert "shares of the picture" in caplog.text
    caplog.clear()
    read(dlc(tmp_path / "p.csv", [*shares, (3, 0.1, 1.2, 0.9, 0.25, 0.5, 0.9)]))
    assert "shares" not in caplog.text


XY = np.array([[10.0, 20], [30, 40]])


def slp(path, frames, video):
    nodes = sio.Skeleton(["n", "t"])
    labelled = [
        sio.LabeledFrame(
            video,
            f,
            [
                sio.PredictedInstance.from_numpy(
                    XY + at, nodes, point_scores=np.full(2, score), score=0.9
                )
            ],
        )
        for f, at, score in frames
    ]
    labels = sio.Labels(labelled, videos=[video], skeletons=[nodes])
    sio.save_slp(labels, str(path), embed=False, verbose=False)
    return path


def test_a_frame_of_sleap_that_is_listed_twice_keeps_all_animals(tmp_path):
    gone = sio.Video("/gone/v.mp4", open_backend=False)
    poses = read(slp(tmp_path / "p.slp", [(1, 0, 0.9), (3, 0, 0.9), (3, 50, 0.8)], gone))
    assert poses.points[3, :, 0, 0].tolist() == [10, 60]
    assert poses.find_present().sum(1).tolist() == [0, 1, 0, 2]


def test_poses_of_sleap_without_scores_are_there(tmp_path):
    gone = sio.Video("/gone/v.mp4", open_backend=False)
    poses = read(slp(tmp_path / "p.slp", [(0, 0, np.nan)], gone))
    assert poses.confidence[0, 0].tolist() == [1, 1]


def test_poses_beyond_the_video_are_told(tmp_path, caplog):
    with VideoWriter(tmp_path / "v.mp4", 25) as writer:
        for n in range(5):
            writer.write(np.full((48, 64), 40 * n, np.uint8))
    video = sio.Video(str(tmp_path / "v.mp4"))
    read(slp(tmp_path / "p.slp", [(0, 0, 0.9), (4, 0, 0.9)], video))
    assert "frames" not in caplog.text
    read(slp(tmp_path / "p.slp", [(0, 0, 0.9), (40, 0, 0.9)], video))
    assert "its poses go to frame 40, but v has 5 frames" in caplog.text


def test_what_belongs_to_no_track_is_no_animal_of_its_own(tmp_path):
    file = tmp_path / "t.csv"
    rows = "0,-1,1,2\n0,1,3,4\n1,-1,5,6\n1,-1,7,8\n"
    file.write_text("frame,track,n_x,n_y\n" + rows, encoding="utf-8")
    poses = read(file)
    assert poses.individuals == ("1", "untracked0", "untracked1")
    assert poses.find_present().sum(1).tolist() == [2, 2]


def test_movement_by_the_names_of_its_axes(tmp_path):
    position = np.arange(16.0).reshape(4, 2, 2, 1) + 5
    names = {"space": ["x", "y"], "keypoints": ["n", "t"], "individuals": ["ann"]}
    dataset = xr.Dataset(
        {"position": (("time", *names), position)}, {"time": [0, 0.1, 0.2, 0.3], **names}
    )
    dataset.isel(space=[1, 0]).to_netcdf(tmp_path / "p.nc", engine="h5netcdf")
    poses = read(tmp_path / "p.nc")
    np.testing.assert_array_equal(poses.points[:, 0, 0], position[:, :, 0, 0])
    # Seconds without a rate, as attributes get lost when datasets are put together.
    assert poses.frames.tolist() == [0, 1, 2, 3] and poses.rate == pytest.approx(10)


def test_keypoints_that_only_one_of_two_has_are_told(tmp_path, caplog):
    from mapose.results.comparison import compare_many

    text = "frame,individual,keypoint,x,y\n" + "".join(
        f"{f},{who},{part},{10 + 40 * n + 100 * i},{20 + 15 * n}\n"
        for f in range(4)
        for i, who in enumerate(("ann", "bob"))
        for n, part in enumerate(("nose", "ear", "tail"))
    )
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    (tmp_path / "b.csv").write_text(text.replace("nose", "Nose"), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        compare_many(tmp_path / "a.csv", [tmp_path / "a.csv"])
        assert not caplog.text
        compare_many(tmp_path / "a.csv", [tmp_path / "b.csv"])
    assert "do not count: nose of the truth; Nose of b.csv" in caplog.text


def test_two_cameras_of_openpose_in_one_folder(tmp_path):
    person = {"pose_keypoints_2d": [v for k in range(18) for v in (50 + 10 * k, 30 + 7 * k, 0.9)]}
    for name in ("camA_000", "camA_001", "camB_000", "camB_001"):
        file = tmp_path / f"{name}_keypoints.json"
        file.write_text(json.dumps({"people": [person]}), encoding="utf-8")
    with pytest.raises(FormatError, match="found those of 2: files begin with 'camA_', 'camB_'"):
        read(tmp_path)
    for file in tmp_path.glob("camB*"):
        file.unlink()
    assert read(tmp_path).frames.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("times", "frames"),
    [
        ([12, 12.04, 12.08, 13, 13.04], [0, 1, 2, 25, 26]),  # two thirds were left out
        ([12, 12.04, 12.08, 12.13, 12.15], [0, 1, 2, 3, 4]),  # uneven: counted
    ],
)
def test_frames_of_nwb_by_their_times(tmp_path, times, frames):
    from mapose import Poses, Skeleton, write
    from mapose.io.nwb import OURS

    pytest.importorskip("ndx_pose")
    array = np.full((5, 1, 2, 3), 0.9) + [40, 60, 0]
    write(Poses(array, Skeleton(["n", "t"]), ["ann"], rate=25), tmp_path / "p.nwb")
    with h5py.File(tmp_path / "p.nwb", "r+") as file:
        del file.attrs[OURS]
        series = []
        file.visit(lambda name: series.append(name) if name.endswith("/starting_time") else None)
        for one in (file[name].parent for name in series):
            del one["starting_time"]
            one["timestamps"] = np.array(times)
    assert read(tmp_path / "p.nwb").frames.tolist() == frames


def test_a_video_that_sleap_lists_under_two_paths_is_one(tmp_path):
    (tmp_path / "a").mkdir()
    with VideoWriter(tmp_path / "v.mp4", 25) as writer:
        for n in range(3):
            writer.write(np.full((48, 64), 40 * n, np.uint8))
    nodes, names = sio.Skeleton(["n", "t"]), (tmp_path / "v.mp4", tmp_path / "a" / ".." / "v.mp4")
    videos = [sio.Video(str(name), open_backend=False) for name in names]
    marks = [sio.LabeledFrame(v, 0, [sio.Instance.from_numpy(XY, nodes)]) for v in videos]
    labels = sio.Labels(marks, videos=videos, skeletons=[nodes])
    sio.save_slp(labels, str(tmp_path / "l.slp"), embed=False, verbose=False)
    found = read_labels(tmp_path / "l.slp")
    assert found.videos == ("v",) and found.points.shape[1] == 1
    assert read(tmp_path / "l.slp").find_present().sum() == 1


def test_tracks_without_names_and_instances_of_another_skeleton(tmp_path, caplog):
    video, nodes = sio.Video("/gone/v.mp4", open_backend=False), sio.Skeleton(["n", "t"])
    other, tracks = sio.Skeleton(["n", "t", "e"]), [sio.Track(""), sio.Track("")]
    animals = [
        sio.PredictedInstance.from_numpy(XY + 40 * i, nodes, score=0.9, track=track)
        for i, track in enumerate(tracks)
    ]
    animals.append(sio.PredictedInstance.from_numpy(np.full((3, 2), 9.0), other, score=0.9))
    frames = [sio.LabeledFrame(video, 0, animals)]
    labels = sio.Labels(frames, videos=[video], skeletons=[nodes, other], tracks=tracks)
    sio.save_slp(labels, str(tmp_path / "p.slp"), embed=False, verbose=False)
    assert read(tmp_path / "p.slp").individuals == ("track", "track-2")
    assert "1 instances with other keypoints than most are left out" in caplog.text


def test_zones_of_a_spreadsheet(tmp_path):
    from mapose.io.zones import read_zones

    file, rows = tmp_path / "z.csv", "zone;x;y\nnest;1,5;2\nnest;5;2\nnest;5;9\n"
    file.write_text(rows + ";;\n;;\n", encoding="utf-8")
    (zone,) = read_zones(file)
    assert np.asarray(zone.corners).tolist() == [[1.5, 2], [5, 2], [5, 9]]
    for short in ("nest;5\n", "nest;5;\n", "nest;5;left\n"):
        file.write_text(rows + short, encoding="utf-8")
        with pytest.raises(FormatError, match="wanted numbers x and y in line 5"):
            read_zones(file)


def test_a_table_of_deeplabcut_that_is_a_folder_of_tables(tmp_path):
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.create_group("df_with_missing/table")
        file.attrs["PYTABLES_FORMAT_VERSION"] = "2.1"
    with pytest.raises(FormatError, match="wanted a dataset table"):
        read(tmp_path / "p.h5")


def test_an_h5_of_something_else_is_told_by_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "trajectories.h5", "w") as file:
        file["trajectories"] = np.zeros((4, 2, 2))
    with pytest.raises(FormatError, match="without poses or labels; it holds trajectories"):
        read(tmp_path / "trajectories.h5")
