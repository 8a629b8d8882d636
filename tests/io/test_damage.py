"""Files that are damaged, or mean no good: one clear line, little memory, nothing elsewhere.

`tests/benchmarks/fuzz_readers.py` looks for more of them; what it found is here by kind.
"""

import io
import json
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import h5py
import numpy as np
import pytest
import sleap_io as sio

from calibration import CalibrationError, CameraGroup, read_board, read_cameras
from calibration.synthetic import make_ring
from mapose.config import load_settings
from mapose.edits import load_edits
from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.io import PosesFile, hdf5, read, read_image, read_labels, save, write
from mapose.io.hdf5 import open_hdf5
from mapose.io.labels import load_labels, save_labels
from mapose.labels import Labels, join_double_frames
from mapose.models import Model
from mapose.models.network import build_network
from mapose.poses import Poses
from mapose.project import Project
from mapose.reading import explain_damage, is_plain_name, load_json, load_yaml
from mapose.skeleton import Skeleton

HUGE = 2**36
SKELETON = Skeleton(["snout", "tail"])


def make_poses() -> Poses:
    return Poses(np.ones((4, 1, 2, 3)), SKELETON, ["ann"], rate=25)


def claim(file: h5py.File, name: str, axis: int = 0) -> None:
    """Put in place of a dataset one that claims 2^36 rows and holds none."""
    shape, dtype = list(file[name].shape), file[name].dtype
    shape[axis] = HUGE
    del file[name]
    file.create_dataset(name, shape, dtype, chunks=tuple(min(n, 16) for n in shape))


@pytest.mark.parametrize("name", ["poses/array", "individuals", "poses/frames", "skeleton/edges"])
def test_sizes_in_our_own_file_are_not_believed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.mapose.h5"
    save(make_poses(), path)
    with h5py.File(path, "r+") as file:
        claim(file, name)
    with pytest.raises(FormatError, match=rf"r\.mapose\.h5: {name} claims .*damaged"):
        read(path)


def test_sizes_in_files_of_others_are_not_believed(tmp_path: Path) -> None:
    analysis, slp, dlc = tmp_path / "a.h5", tmp_path / "p.slp", tmp_path / "d.h5"
    with h5py.File(analysis, "w") as file:
        file["tracks"], file["node_names"] = np.ones((1, 2, 2, 5)), [b"snout", b"tail"]
        file["track_names"] = [b"ann"]
        claim(file, "tracks", 3)
    write(make_poses(), slp)
    write(make_poses(), dlc, "dlc-h5")
    for path, name in ((slp, "frames"), (dlc, "df_with_missing/table")):
        with h5py.File(path, "r+") as file:
            claim(file, name)
    for path in (analysis, slp, dlc):
        with pytest.raises(FormatError, match="claims"):
            read(path)


def test_a_dataset_in_another_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "r.mapose.h5"
    save(make_poses(), path)
    (tmp_path / "secret").write_bytes(bytes(96))
    with h5py.File(path, "r+") as file:
        del file["poses/array"]
        outside = [(str(tmp_path / "secret"), 0, 96)]
        file.create_dataset("poses/array", (4, 1, 2, 3), "<f4", external=outside)
    with pytest.raises(FormatError, match="lies in another file"):
        read(path)


@pytest.mark.parametrize("size", [0, 2**40])
def test_lists_that_lead_nowhere_end(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 itself walks for ever over a heap whose parts are of length 0."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs.create("names", ["snout", "tail"], dtype=h5py.string_dtype())
        file["x"] = np.arange(4)
    with open_hdf5(path) as file:  # while it is whole
        assert list(file.attrs["names"]) == ["snout", "tail"]
    raw = bytearray(path.read_bytes())
    heap = raw.index(b"GCOL") + 16
    struct.pack_into("<Q", raw, heap + 8, size)  # of the first value
    path.write_bytes(raw)
    monkeypatch.setattr(hdf5, "_MOST_SECONDS", 2)
    wanted = r"a\.h5: values of varying length .* damaged"
    with pytest.raises(FormatError, match=wanted), open_hdf5(path):
        pass


def _say_otherwise(file: h5py.File) -> None:
    file.attrs[next(name for name in file.attrs if "mapose" in name)] = "[1]"


def _lose_groups(file: h5py.File) -> None:
    del file["processing"]
    file["processing"] = 1


def _lose_points(file: h5py.File) -> None:
    data = "processing/behavior/PoseEstimation/snout/data"
    del file[data]
    file.create_group(data)


@pytest.mark.parametrize("change", [_say_otherwise, _lose_groups, _lose_points])
def test_wrong_kinds_in_nwb_are_told(tmp_path: Path, change: Callable[[h5py.File], None]) -> None:
    write(make_poses(), tmp_path / "x.nwb")
    with h5py.File(tmp_path / "x.nwb", "r+") as file:
        change(file)
    with pytest.raises(FormatError, match=r"x\.nwb"):
        read(tmp_path / "x.nwb")


@pytest.mark.parametrize("length", [0, 2**64 - 16, 2**40])
def test_texts_that_lead_nowhere_end_in_our_own_file_as_well(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.mapose.h5"
    save(make_poses(), path, provenance={"made": "x"})
    raw = bytearray(path.read_bytes())
    last = raw.index(b"GCOL") + 16
    while struct.unpack_from("<H", raw, last)[0]:  # what is free comes last
        last += 16 + -(-struct.unpack_from("<Q", raw, last + 8)[0] // 8) * 8
    struct.pack_into("<Q", raw, last + 8, length)
    path.write_bytes(raw)
    look = f"from mapose.files import read_mark; assert read_mark({str(path)!r}) is None;"
    look += f"from mapose.io import load; load({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60)
    assert "FormatError" in done.stderr and "it is damaged" in done.stderr


@pytest.mark.parametrize("name", ["poses/array", "individuals", "provenance", "skeleton/keypoints"])
def test_a_group_is_no_dataset(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.mapose.h5"
    save(make_poses(), path, provenance={"made": "x"})
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_group(name)
    with pytest.raises(FormatError, match=r"wanted a dataset"), PosesFile(path) as file:
        file.read_poses()
        file.read_provenance()


def test_lengths_in_netcdf3_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "r.nc"
    make_poses().to_xarray().to_netcdf(path, engine="scipy")
    data = path.read_bytes()
    path.write_bytes(data[:16] + (2**31 - 1).to_bytes(4, "big") + data[20:])
    tracemalloc.start()
    with pytest.raises(FormatError, match="cannot be opened as netCDF"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 28
    tracemalloc.stop()


def test_a_path_of_many_folders_takes_no_time(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    deep = "a/" * 200_000 + "x.png"
    table.write_text(f"image,keypoint,x,y\n{deep},snout,1,2\nb.png,snout,1,2\n")
    start = time.process_time()
    assert len(set(read_labels(table).videos)) == 2
    assert time.process_time() - start < 5


def test_frame_numbers_do_not_decide_how_much_is_allocated(tmp_path: Path) -> None:
    skeleton = sio.Skeleton(["snout", "tail"])
    video = sio.Video("clip.mp4", open_backend=False)
    found = sio.PredictedInstance.from_numpy(np.ones((2, 2)), skeleton, score=0.9)
    labels = sio.Labels([sio.LabeledFrame(video, HUGE, [found])])
    sio.save_slp(labels, str(tmp_path / "r.slp"), embed=False, verbose=False)
    with pytest.raises(FormatError, match="a frame number or a name must be damaged"):
        read(tmp_path / "r.slp")


def test_peaks_add_up(tmp_path: Path) -> None:
    path = tmp_path / "r.mapose.h5"
    save(make_poses(), path)
    with h5py.File(path, "r+") as file:
        group = file.create_group("peaks")
        group["per_frame"] = np.array([[HUGE, 0]] * 4)
        for name in ("keypoint", "xy", "score", "covariance", "pairs", "edge", "affinity"):
            group[name] = np.zeros((1, 2))
    with PosesFile(path) as file, pytest.raises(FormatError, match="do not add up"):
        file.read_peaks()


def make_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("sides", [(60_000, 60_000), (20_000, 20_000), (12_000, 12_000)])
def test_an_image_is_refused_by_its_header(
    tmp_path: Path, sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").write_bytes(make_png(*sides))
    monkeypatch.setattr("cv2.imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(FormatError, match=r"x\.png: wanted an image of at most 134217728 pixels"):
        read_image(tmp_path / "x.png")


NESTED = {"[": "]", '{"a":': "}"}


@pytest.mark.parametrize("bracket", NESTED)
def test_deep_json_does_not_break_the_stack(tmp_path: Path, bracket: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(bracket * 200_000 + "1" + NESTED[bracket] * 200_000)
    for reader in (load_json, read, read_labels):
        with pytest.raises(FormatError, match=r"x\.json.* nested too deeply"):
            reader(path)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
YAML = {
    "deeper": "a: " + "[" * 5000 + "]" * 5000,
    "deep": "- " * 5000 + "x",
    "aliases stand": BOMB,
    "python/object": "a: !!python/object/apply:os.system ['touch x']",
    "contain themselves|aliases stand": "a: &a [*a]",
    "at most 4000000 characters": "a: " + "x" * 4_000_001,
    "not readable": "a: \0",
    "'a' stands twice, in lines 1 and 3": "a: 1\nb: 2\na: 3",
    "'c' stands twice, in lines 2 and 2": "a:\n- {c: 1, c: 1}",
}


@pytest.mark.parametrize("message", YAML)
def test_yaml_has_limits(tmp_path: Path, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        load_yaml(YAML[message], "x.yaml")
    (tmp_path / "x.yaml").write_text(YAML[message])
    (tmp_path / "mapose.yaml").write_text(YAML[message])
    for reader in (load_settings, lambda path: Project.load(path.parent)):
        with pytest.raises(SettingsError, match=message):
            reader(tmp_path / "x.yaml")


CAMERAS = ("c.yml", "c.json", "c.xml", "c.toml")


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("nest", ["[" * 200_000, "<a>" * 200_000, "- " * 200_000, "{a: " * 200_000])
def test_deep_files_of_cameras_do_not_break_the_stack(tmp_path: Path, name: str, nest: str) -> None:
    """OpenCV's reader would end the process."""
    path = tmp_path / name
    path.write_text("a: " + nest)
    with pytest.raises(CalibrationError):
        read_cameras(path)


@pytest.mark.parametrize(
    "sides",
    [
        "<rows>100000</rows><cols>100000</cols>",
        "<rows>~</rows><cols>3</cols>",
        "<rows>3</rows>",
        "<cols>1</cols>",
        "<rows>1</rows><cols>2</cols>",
    ],
)
def test_a_matrix_is_as_large_as_its_data(tmp_path: Path, sides: str) -> None:
    path = tmp_path / "c.xml"
    path.write_text(
        '<?xml version="1.0"?><opencv_storage><camera_matrix type_id="opencv-matrix">'
        f"{sides}<dt>d</dt><data>1 2 3</data></camera_matrix></opencv_storage>"
    )
    with pytest.raises(CalibrationError, match=r"c\.xml: a matrix"):
        read_cameras(path)


def test_wrong_types_are_told_by_every_reader(tmp_path: Path) -> None:
    toml, yaml, csv = tmp_path / "c.toml", tmp_path / "s.yaml", tmp_path / "x.edits.csv"
    make_ring(1).save(toml)
    toml.write_text(toml.read_text().replace("unit =", "unit.a ="))
    for text in ("[cam_0]\nsize = 3\nmatrix = []\nrotation = 1\ntranslation = 2\n", "a = 1\n"):
        toml.write_text(text)
        for reader in (read_cameras, CameraGroup.load, read_board):
            with pytest.raises(CalibrationError, match=r"c\.toml"):
                reader(toml)
    yaml.write_bytes(b"network: \xff")
    with pytest.raises(SettingsError, match=r"s\.yaml cannot be read"):
        load_settings(yaml)
    csv.write_text("frame,kind,first,second," + "x" * 200_000)
    with pytest.raises(FormatError, match=r"x\.edits\.csv cannot be read"):
        load_edits(csv)
    document = {"images": {"a": 1}, "annotations": 3, "categories": "x"}
    (tmp_path / "c.json").write_text(json.dumps(document))
    with pytest.raises(FormatError, match="wanted a list of images"):
        read_labels(tmp_path / "c.json")


def test_what_a_model_says_of_itself_must_be_true(tmp_path: Path) -> None:
    architecture = {
        "channels": 1,
        "keypoints": 2,
        "edges": 0,
        "widths": [8, 8, 8],
        "depths": [0, 0, 0],
    }
    Model(
        build_network(**architecture), architecture, SKELETON, (), 1, 1, 1,
        np.ones((2, 2)), np.ones(2),
    ).save(tmp_path)  # fmt: skip
    good = (tmp_path / "model.yaml").read_text()
    Model.load(tmp_path)
    for wide in (f"[{HUGE}, 8, 8]", "[8, 8, 100000]"):
        (tmp_path / "model.yaml").write_text(good.replace("widths: [8, 8, 8]", f"widths: {wide}"))
        with pytest.raises(FormatError, match=r"not that of the weights|larger than the weights"):
            Model.load(tmp_path)
    (tmp_path / "model.yaml").write_text(
        good.replace("depths: [0, 0, 0]", f"depths: [{HUGE}, 0, 0]")
    )
    with pytest.raises(FormatError, match="not that of the weights"):
        Model.load(tmp_path)


@pytest.mark.parametrize("name", ["../../stray.png", "/tmp/stray.png", "..", "", "a\x00b"])
def test_our_labels_name_images_beside_them_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "stray.png").write_bytes(b"")
    folder = tmp_path / "labels" / "clip"
    folder.mkdir(parents=True)
    head = "image,frame,individual,keypoint,x,y,visible\n"
    (folder / "labels.csv").write_text(head + f'"{name}",1,ann,snout,1,2,1\n')
    with pytest.raises(FormatError, match=r"names of images beside it|cannot be read"):
        load_labels(tmp_path / "labels", SKELETON)


@pytest.mark.parametrize("name", ["..", "a/b", "", "x" * 300, "a\tb"])
def test_names_of_recordings_lead_nowhere(tmp_path: Path, name: str) -> None:
    assert not is_plain_name(name)
    labels = Labels(np.ones((1, 1, 2, 2)), SKELETON, (name,), [0], (tmp_path / "x.png",), ("ann",))
    with pytest.raises(FormatError, match="cannot have a folder"):
        save_labels(labels, tmp_path / "labels")
    Project.create(tmp_path / "p", SKELETON)
    file = tmp_path / "p" / "mapose.yaml"
    file.write_text(
        file.read_text().replace("videos: {}", f"videos: {{{json.dumps(name)}: v.mp4}}")
    )
    with pytest.raises(SettingsError, match="its name becomes a folder's"):
        Project.load(tmp_path / "p")


FAULTS: dict[type[Exception], Callable[[], object]] = {
    KeyError: lambda: {}["a"],
    TypeError: lambda: len(3),  # type: ignore[arg-type]
    OverflowError: lambda: np.array([10**400], np.int64),
    MemoryError: lambda: np.ones(2**50),
    BadZipFile: lambda: np.load(io.BytesIO(b"PK\3\4")),
    EOFError: lambda: np.load(io.BytesIO(b"")),
    TokenError: lambda: np.load(io.BytesIO(b"\x93NUMPY\1\0\x10\0{'descr': (((   \n")),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_of_data_are_told_and_faults_of_ours_are_not(kind: type[Exception]) -> None:
    with pytest.raises(FormatError, match=r"x\.csv") as told, explain_damage("x.csv"):
        FAULTS[kind]()
    assert isinstance(told.value.__cause__, kind)
    with pytest.raises(AttributeError), explain_damage("x.csv"):
        raise AttributeError("a fault of ours")


def test_messages_are_one_line_and_of_fair_length() -> None:
    for error in (MaposeError, CalibrationError):
        text = str(error("first\n  second \x1b[2J" + "x" * 100_000 + "last"))
        assert text.startswith("first second [2Jx") and text.endswith("xlast")
        assert len(text) < 1600


def test_the_same_frame_twice_is_one(tmp_path: Path) -> None:
    points = np.arange(5 * 1 * 2 * 2, dtype=float).reshape(5, 1, 2, 2)
    points[3] = points[0]
    labels = Labels(
        points, SKELETON, ("a", "a", "b", "a", "a"), [0, 0, 0, 0, 7], (None,) * 5, ("ann",), True
    )
    joined = join_double_frames(labels)
    assert joined.videos == ("a", "b", "a") and joined.frames.tolist() == [0, 0, 7]
    assert np.array_equal(joined.points[0, 0], points[0, 0])
    assert np.array_equal(joined.points[0, 1], points[1, 0])
    assert np.isnan(joined.points[1:, 1]).all()
    assert joined.individuals == ("ann", "animal0") and not joined.identified
