import importlib.metadata
from pathlib import Path
from types import ModuleType

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import sleap_io as sio
import xarray as xr

from mapose.errors import FormatError, MissingExtraError
from mapose.io.formats import ENDINGS, read, read_embedded_images, read_labels, write
from mapose.poses import Poses
from mapose.skeleton import Skeleton

MOUSE = Skeleton(["snout", "earL", "earR"], [("snout", "earL")], [("earL", "earR")])


def make_poses(rng: np.random.Generator, names: list[str] | None, n: int = 2, d: int = 2) -> Poses:
    array = rng.uniform(0.1, 0.99, (20, n, 3, d + 1)).astype(np.float32)
    array[..., :-1] *= 1000
    array[3, 0, 1, 0] = np.nan
    array[7] = np.nan
    identity = rng.uniform(0.5, 1, (20, n)).astype(np.float32)
    return Poses(array, MOUSE, names, rate=25, identity=identity if names else None)


def assert_same(a: Poses, b: Poses, rtol: float = 0) -> None:
    np.testing.assert_allclose(a.array, b.array, rtol=rtol)
    np.testing.assert_array_equal(a.frames, b.frames)
    assert a.individuals == b.individuals
    assert a.skeleton.keypoints == b.skeleton.keypoints


NAMES = [["Anna", "Béla"], None]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize(
    ("format", "file"),
    [
        ("csv", "r.csv"),
        ("dlc-csv", "r.csv"),
        ("dlc-h5", "r.h5"),
        ("movement", "r.nc"),
        ("slp", "r.slp"),
        ("mapose", "r.mapose.h5"),
    ],
)
def test_every_format_is_read_back(
    tmp_path: Path, rng: np.random.Generator, format: str, file: str, names: list[str] | None
) -> None:
    poses = make_poses(rng, names)
    write(poses, tmp_path / file, format)
    again = read(tmp_path / file)
    assert_same(again, poses, rtol=2e-7)
    assert_same(read(tmp_path / file, format), again)
    if format in ("csv", "movement", "mapose") and poses.identity is not None:
        assert again.identity is not None
        kept = np.isfinite(again.identity)
        np.testing.assert_allclose(again.identity[kept], poses.identity[kept], rtol=1e-6)
        assert kept.mean() > 0.9
    if format in ("movement", "mapose"):
        assert again.rate == 25
    assert [p.name for p in tmp_path.iterdir()] == [file]  # nothing temporary is left


@pytest.mark.parametrize("format", ["csv", "dlc-csv", "dlc-h5", "movement", "mapose"])
def test_3d_and_gaps_between_frames(tmp_path: Path, rng: np.random.Generator, format: str) -> None:
    whole = make_poses(rng, ["a", "b"], d=3)
    poses = whole.sel(frames=[2, 5, 19])
    path = tmp_path / f"r{ENDINGS[format]}"
    write(poses, path, format)
    assert_same(read(path), poses, rtol=2e-7)


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("file", ["r.h5", "r.csv"])
def test_movement_opens_deeplabcut_files(
    tmp_path: Path,
    rng: np.random.Generator,
    movement: ModuleType,
    file: str,
    names: list[str] | None,
) -> None:
    poses = make_poses(rng, names)
    write(poses, tmp_path / file, "dlc-h5" if file.endswith("h5") else "dlc-csv")
    theirs = movement.io.load_poses.from_dlc_file(tmp_path / file, fps=25)
    # (time, space, keypoints, individuals); the names of the last two depend on the version
    _, _, keypoints, individuals = theirs.position.dims
    np.testing.assert_allclose(
        theirs.position.values, poses.points.transpose(0, 3, 2, 1), rtol=1e-6
    )
    np.testing.assert_allclose(theirs.confidence.values, poses.confidence.swapaxes(1, 2), rtol=1e-6)
    assert list(theirs[individuals].values) == list(poses.names)
    assert list(theirs[keypoints].values) == list(MOUSE.keypoints)


@pytest.mark.parametrize("d", [2, 3])
def test_movement_opens_its_own_format(
    tmp_path: Path, rng: np.random.Generator, movement: ModuleType, d: int
) -> None:
    poses = make_poses(rng, ["Anna", "Béla"], d=d)
    support = {"filled": rng.random(poses.array.shape[:3]) < 0.5} if d == 3 else None
    write(poses, tmp_path / "r.nc", support=support)
    with xr.open_dataset(tmp_path / "r.nc", engine="h5netcdf") as theirs:
        poses_inputs = movement.validators.datasets.ValidPosesInputs
        wanted = poses_inputs.DIM_NAMES
        poses_inputs.validate(theirs)
        assert theirs.attrs["fps"] == 25 and theirs.attrs["ds_type"] == "poses"
        position = theirs.position.transpose(*wanted).values
        if support is not None:
            filled = theirs.filled.transpose("time", wanted[3], wanted[2]).values
            np.testing.assert_array_equal(filled, support["filled"])
    np.testing.assert_array_equal(position, poses.points.transpose(0, 3, 2, 1))


@pytest.mark.parametrize("version", ["0.15.0", "0.17.1", None])
def test_movement_files_of_all_ages_are_read(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    def find_version(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", find_version)
    poses = make_poses(rng, ["a", "b"])
    old = poses.to_xarray()
    assert ("keypoints" in old.dims) == ("individuals" in old.dims) == (version == "0.15.0")
    old.drop_vars("identity").to_netcdf(tmp_path / "old.nc", engine="h5netcdf")
    assert_same(read(tmp_path / "old.nc"), poses)
    old.rename(position="where").to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")
    old.drop_vars("identity").to_netcdf(tmp_path / "netcdf3.nc", engine="scipy")
    assert_same(read(tmp_path / "netcdf3.nc"), poses)
    with pytest.raises(FormatError, match="wanted a movement dataset"):
        read(tmp_path / "odd.nc", "movement")


def test_a_single_animal_has_deeplabcuts_three_levels(
    tmp_path: Path, rng: np.random.Generator, movement: ModuleType
) -> None:
    poses = make_poses(rng, None, n=1)
    write(poses, tmp_path / "r.h5", "dlc-h5")
    write(poses, tmp_path / "r.csv", "dlc-csv")
    frame = pd.read_hdf(tmp_path / "r.h5", "df_with_missing")
    assert list(frame.columns.names) == ["scorer", "bodyparts", "coords"]
    assert list(frame.columns[:3]) == [("mapose", "snout", c) for c in ("x", "y", "likelihood")]
    assert frame.index.tolist() == list(range(20)) and frame.dtypes.eq(np.float64).all()
    lines = (tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "scorer" + ",mapose" * 9
    assert lines[1].startswith("bodyparts,snout,snout,snout,earL")
    assert lines[2] == "coords" + ",x,y,likelihood" * 3
    assert lines[3].startswith("0,")
    assert movement.io.load_poses.from_dlc_file(tmp_path / "r.h5").position.shape == (20, 2, 3, 1)
    assert_same(read(tmp_path / "r.h5"), poses)


def test_several_animals_have_deeplabcuts_four_levels(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pytest.importorskip("tables")
    write(make_poses(rng, ["a", "b"]), tmp_path / "r.h5", "dlc-h5")
    frame = pd.read_hdf(tmp_path / "r.h5")
    assert list(frame.columns.names) == ["scorer", "individuals", "bodyparts", "coords"]
    assert frame.columns.get_level_values("individuals").unique().tolist() == ["a", "b"]
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["df_with_missing"].attrs["pandas_type"] == b"frame_table"


def test_many_animals_fit_a_deeplabcut_h5(tmp_path: Path, rng: np.random.Generator) -> None:
    pytest.importorskip("tables")
    skeleton = Skeleton([f"keypoint with a long name {k}" for k in range(29)])
    names = [f"animal number {i}" for i in range(40)]
    poses = Poses(rng.uniform(0.1, 1, (2, 40, 29, 3)), skeleton, names)
    write(poses, tmp_path / "r.h5", "dlc-h5")
    assert_same(read(tmp_path / "r.h5"), poses)
    assert pd.read_hdf(tmp_path / "r.h5").shape == (2, 40 * 29 * 3)


def test_without_pytables_the_message_says_what_to_install(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tables", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mapose\[dlc\]"'):
        write(make_poses(rng, None), tmp_path / "r.h5", "dlc-h5")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.csv"
    path.write_text("precious")

    def fill(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fill)
    with pytest.raises(FormatError, match="full"):
        write(make_poses(rng, None), path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]
    assert path.read_text() == "precious"


def test_sleap_opens_what_was_exported(recordings: Path, tmp_path: Path) -> None:
    poses = read(recordings / "flies_courtship/predictions.analysis.h5").sel(frames=slice(0, 50))
    write(poses, tmp_path / "r.slp", video="flies.mp4")
    theirs = sio.load_slp(str(tmp_path / "r.slp"))
    np.testing.assert_allclose(theirs.numpy(), poses.points, atol=1e-4)
    assert [t.name for t in theirs.tracks] == list(poses.names)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("openfield_mouse", (91, 1, 4, 2)),
        ("openfield_mouse/config.yaml", (91, 1, 4, 2)),
        ("openfield_mouse/labels.csv", (91, 1, 4, 2)),
        ("reaching_mouse", (40, 1, 5, 2)),
        ("mirror_mouse", (70, 1, 17, 2)),
        ("mirror_mouse/labels.csv", (70, 1, 17, 2)),
        ("birds_montblanc", (15, 8, 4, 2)),
        ("birds_montblanc/labels.csv", (15, 8, 4, 2)),
        ("fly_single/annotation_set.h5", (75, 1, 32, 2)),
        ("fly_single/labels.csv", (75, 1, 32, 2)),
        ("flies_courtship/predictions.analysis.h5", (3000, 2, 13, 2)),
        ("flies_pair_noisy/centered_pair_predictions.slp", (1100, 5, 24, 2)),
        ("formats/small_robot_minimal.slp", (2, 1, 2, 2)),
        ("formats/small_robot_3_frame.analysis.h5", (3, 1, 3, 2)),
        ("formats/minimal_instance.pkg.slp", (1, 2, 2, 2)),
        ("formats/alphatracker_testdata.json", (4, 2, 3, 2)),
        ("formats/dlc_csv_variants", (3, 3, 5, 2)),
        ("formats/dlc_csv_variants/madlc_testdata_v2.csv", (3, 2, 3, 2)),
        ("formats/sleap_analysis.csv", (1, 1, 2, 2)),
    ],
)
def test_labels_of_every_kind_are_recognised(
    recordings: Path, path: str, shape: tuple[int, ...]
) -> None:
    assert read_labels(recordings / path).points.shape == shape


def test_frames_without_a_mark_are_left_out_unless_wanted(recordings: Path) -> None:
    labels = read_labels(recordings / "birds_montblanc")
    assert labels.left_out[-1].startswith("1 frames without any mark are left out (--keep-empty")
    assert 792 not in labels.frames
    assert 792 in read_labels(recordings / "birds_montblanc", keep_empty=True).frames
    assert not read_labels(recordings / "birds_montblanc", keep_empty=False).left_out


def test_a_frame_marked_as_empty_in_sleap_stays(tmp_path: Path) -> None:
    skeleton = sio.Skeleton(["a", "b"])
    video = sio.Video("gone.mp4", open_backend=False)
    instance = sio.Instance.from_numpy(np.ones((2, 2)), skeleton)
    frames = [
        sio.LabeledFrame(video=video, frame_idx=3, instances=[instance]),
        sio.LabeledFrame(video=video, frame_idx=8, instances=[], is_negative=True),
    ]
    sio.Labels(frames).save(tmp_path / "a.slp")
    labels = read_labels(tmp_path / "a.slp")
    assert labels.frames.tolist() == [3, 8] and not labels.left_out
    assert np.isfinite(labels.points[0]).all() and np.isnan(labels.points[1]).all()
    assert read_labels(tmp_path / "a.slp", keep_empty=False).frames.tolist() == [3]


@pytest.mark.parametrize(
    ("path", "format", "shape"),
    [
        ("flies_courtship/predictions.analysis.h5", "sleap-h5", (3000, 2, 13, 3)),
        ("formats/small_robot_minimal.slp", "slp", (2, 1, 2, 3)),
        ("openfield_mouse/labels.csv", "csv", (91, 1, 4, 3)),
        ("formats/sleap_analysis.csv", "csv", (1, 1, 2, 3)),
    ],
)
def test_poses_of_every_kind_are_recognised(
    recordings: Path, path: str, format: str, shape: tuple[int, ...]
) -> None:
    poses = read(recordings / path)
    assert poses.array.shape == shape
    assert_same(poses, read(recordings / path, format))


def test_deepposekit_with_images_and_names(recordings: Path) -> None:
    path = recordings / "fly_single/annotation_set.h5"
    labels = read_labels(path)
    rows = pd.read_csv(recordings / "fly_single/labels.csv")
    table = pd.read_csv(recordings / "fly_single/skeleton.csv")
    assert list(labels.skeleton.keypoints) == table.name.tolist()
    assert len(labels.skeleton.edges) == table.parent.notna().sum()
    assert ("eyeL", "eyeR") in labels.skeleton.mirror
    assert not any("midlegL2" in pair and "midlegR3" in pair for pair in labels.skeleton.mirror)
    np.testing.assert_allclose(labels.points.reshape(-1, 2), rows[["x", "y"]], atol=6e-4)
    some = labels.take([70, 3])
    images = list(read_embedded_images(path, some))
    assert [row for row, _ in images] == [0, 1]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(images[0][1], file["images"][70, ..., 0])


def test_embedded_images_by_content(recordings: Path) -> None:
    path = recordings / "formats/minimal_instance.pkg.slp"
    labels = read_labels(path)
    assert [(row, image.shape) for row, image in read_embedded_images(path, labels)] == [
        (0, (384, 384))
    ]
    for other in ("openfield_mouse", "openfield_mouse/labels.csv"):
        assert list(read_embedded_images(recordings / other, read_labels(recordings / other))) == []


def test_what_cannot_be_read_is_said_so(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match=r"did you mean 'results\.csv'"):
        read(tmp_path / "result.csv")
    with pytest.raises(FormatError, match="there is no"):
        read_labels(tmp_path / "nowhere" / "x.slp")
    with pytest.raises(FormatError, match="wanted columns"):
        read_labels(tmp_path / "results.csv")
    with pytest.raises(FormatError, match="did you mean 'slp'"):
        read(tmp_path / "results.csv", "slap")
    with pytest.raises(FormatError, match="is a folder"):
        read(tmp_path)
    (tmp_path / "labels.slp").write_bytes(b"x")
    with pytest.raises(FormatError, match="not a file of poses"):
        read_labels(tmp_path / "labels.slp")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(FormatError, match="neither COCO"):
        read_labels(tmp_path / "x.json")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FormatError, match="no DeepLabCut project and no csv"):
        read_labels(empty)
    with pytest.raises(FormatError, match="suffix does not tell the format"):
        write(make_poses(rng, None), tmp_path / "r.xyz")
    with pytest.raises(FormatError, match="did you mean 'dlc-h5'"):
        write(make_poses(rng, None), tmp_path / "r.h5", "dlc_h5")
    with pytest.raises(FormatError, match="no folder"):
        write(make_poses(rng, None), tmp_path / "none" / "r.csv")


def test_an_empty_label_set_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,keypoint,x,y\na.png,nose,,\nb.png,nose,nan,inf\n")
    with pytest.raises(FormatError, match="none of its 2 frames has a marked keypoint"):
        read_labels(path)


def test_a_damaged_h5_is_said_so(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "r.slp"
    write(make_poses(rng, None), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError):
        read(path)


def test_images_beside_the_labels_are_found(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames/img12.png"), np.zeros((4, 4), np.uint8))
    (tmp_path / "t.csv").write_text("img;nose_x;nose_y\nD:\\data\\frames\\img12.png;1,5;2\n")
    labels = read_labels(tmp_path / "t.csv")
    assert labels.images == (tmp_path / "frames/img12.png",)
    assert labels.points[0, 0, 0].tolist() == [1.5, 2]


def test_deeplabcut_h5_says_which_layout_it_has(tmp_path):
    """Without this attribute pandas 2 cannot read what pandas 3 wrote."""
    import h5py

    poses = Poses(np.ones((4, 1, 2, 3), np.float32), Skeleton(["a", "b"]))
    write(poses, tmp_path / "x.h5", "dlc-h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert b"0.15.2" in np.bytes_(file["df_with_missing"].attrs["pandas_version"])
