"""What is made of a result a part at a time is what is made of the whole, byte for byte."""

import json
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.doubts import Doubt
from mapose.parts import Parts
from mapose.poses import Poses, join_poses
from mapose.results.correcting import add_edit
from mapose.results.result import save
from mapose.skeleton import Skeleton

COUNT = 300
EDGES = [("nose", "left"), ("nose", "right"), ("nose", "tail")]
MOUSE = Skeleton(["nose", "left", "right", "tail"], EDGES, mirror=[("left", "right")])


def draw(axes, seed):
    """Four animals that meet, with gaps, frames left out, and some who come late or go."""
    rng = np.random.default_rng(seed)
    t, who = np.arange(COUNT)[:, None], np.arange(4)
    way = [
        200 + 150 * np.cos(t / 40 + 1.3 * who),
        150 + 90 * np.sin(t / 31 + who),
        20 + 0 * t * who,
    ]
    array = np.ones((COUNT, 4, 4, axes + 1))
    array[..., :axes] = np.stack(way[:axes], -1)[:, :, None]
    array[..., :axes] += rng.normal(0, 8, (4, 4, axes)) + rng.normal(0, 0.7, (COUNT, 4, 4, axes))
    array[..., axes] = rng.uniform(0.3, 1, (COUNT, 4, 4))
    array[rng.random((COUNT, 4, 4)) < 0.1] = np.nan
    array[:30, 1] = array[150:190, 2] = array[-5:] = np.nan
    identity = rng.uniform(0.8, 1, (COUNT, 4))
    identity[~np.isfinite(array).all(-1).any(-1)] = np.nan
    covariance = np.eye(axes) * rng.uniform(1, 2, (COUNT, 4, 4, 1, 1))
    frames = np.unique(np.r_[:100, 100 + rng.permutation(COUNT)])[:COUNT]
    names, unit = ["ann", "bob", "carl", "dora"], "px" if axes == 2 else "mm"
    return Poses(array, MOUSE, names, 30.0, unit, frames, identity=identity, covariance=covariance)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corrected result in 2D, the same found by another, and one in 3D."""
    folder = tmp_path_factory.mktemp("parts")
    two, rng = draw(2, 1), np.random.default_rng(3)
    doubts = [Doubt(50, 60, ("ann", "bob"), 0.3), Doubt(200, 230, ("bob", "carl"), 0.2)]
    path = folder / "two.mapose.h5"
    save(two, path, doubts=doubts, provenance={"size": [400, 300]})
    add_edit(path, ("ann", "bob"), frame=100)
    add_edit(path, ("ann",), frame=50, kind="move", keypoint="nose", place=(3, 4))
    add_edit(path, ("bob",), frame=int(two.frames[240]), last=int(two.frames[260]), kind="delete")
    add_edit(path, ("ann", "zoe"), kind="name")
    array = two.array.copy()
    array[..., :2] += rng.normal(0, 3, array[..., :2].shape)
    array[80:120, [0, 1]] = array[80:120, [1, 0]]
    noisy = Poses(array, MOUSE, list("wxyz"), 30.0, frames=two.frames, identity=two.identity)
    save(noisy, folder / "noisy.mapose.h5")
    shape = (COUNT, 4, 4)
    support = {
        "error": rng.uniform(0, 3, shape).astype(np.float32),
        "n_views": rng.integers(0, 4, shape).astype(np.int16),
        "filled": rng.random(shape) < 0.1,
    }
    three = draw(3, 2)
    save(three, folder / "three.mapose.h5", support=support)
    save(two.take(slice(0, 0)), folder / "empty.mapose.h5")
    return folder


def read_values(item):
    values = item[()]
    if isinstance(values, bytes):
        return values
    return repr(values.tolist()) if values.dtype.hasobject else values.tobytes()


def list_hdf5(path):
    """List all that is in an HDF5 file, but for references."""
    found = {}

    def see(name, item):
        attributes = {
            k: repr(v) for k, v in item.attrs.items() if "REF" not in k and "_LIST" not in k
        }
        values = None
        if isinstance(item, h5py.Dataset):
            values = (item.shape, item.dtype, item.chunks, item.compression, read_values(item))
            values = None if h5py.check_ref_dtype(item.dtype) else values
        found[name] = attributes, values

    with h5py.File(path) as file:
        see("", file)
        file.visititems(see)
    return found


@pytest.fixture
def run_both(folder, tmp_path, monkeypatch, caplog):
    """Run a command in parts of a few frames and on the whole; gives what it said and wrote."""

    def run(words):
        made = []
        for size in (7, 10_000):
            monkeypatch.setattr("mapose.parts.PART", size)
            monkeypatch.setattr("mapose.results.windows._SHORT", size)
            place = tmp_path / str(size) / "in"
            place.mkdir(parents=True)
            monkeypatch.chdir(place)
            for file in folder.iterdir():
                Path(file.name).write_bytes(file.read_bytes())
            there = {p for p in Path().rglob("*") if p.suffix != ".csv"}
            done = CliRunner().invoke(app, shlex.split(words), catch_exceptions=False)
            assert done.exit_code == 0, done.output
            files = sorted(p for p in Path().rglob("*") if p not in there and p.is_file())
            assert files or "-o" not in words
            read = [list_hdf5(p) if h5py.is_hdf5(p) else p.read_bytes() for p in files]
            told = [record.getMessage() for record in caplog.records]
            caplog.clear()
            made.append((told, done.stdout, files, read))
        return made

    return run


def test_parts_are_the_whole_once_more():
    poses = draw(2, 1)
    parts = Parts(poses.take, poses.frames, size=7)
    assert len(list(parts)) == 43 and parts.names == poses.names
    np.testing.assert_array_equal(parts.join()[0].array, poses.array)
    wide = list(parts.iterate_wide(10))
    assert len(wide[0][0]) == 17 and len(wide[5][0]) == 27
    joined = np.concatenate([part.take(inner).array for part, inner in wide])
    np.testing.assert_array_equal(joined, poses.array)
    assert [len(part) for part in Parts(poses.take, poses.frames[:0], size=7)] == [0]


@pytest.mark.parametrize(
    "rows", [[], [0], [299], range(300), [3, 4, 5, 90, 91, 250], range(1, 299, 2)]
)
def test_some_rows_of_parts_are_those_of_the_whole(rows, monkeypatch):
    monkeypatch.setattr("mapose.parts.PART", 7)
    poses, read, rows = draw(2, 1), [], np.array(rows, np.int64)

    def take(part):
        read.append(part.stop - part.start)
        return poses.take(part)

    some = Parts(take, poses.frames).take(rows)
    found = join_poses(list(some))
    np.testing.assert_array_equal(found.array, poses.array[rows])
    np.testing.assert_array_equal(found.frames, poses.frames[rows])
    np.testing.assert_array_equal(some.frames, poses.frames[rows])
    assert max(read) <= 7  # rows far apart are not read with all between them


#: Formats that are written in parts, and by which ending.
FORMATS = {
    "two": {
        "csv": "csv",
        "dlc-csv": "csv",
        "dlc-h5": "h5",
        "coco": "json",
        "movement": "nc",
        "mapose": "mapose.h5",
    },
    "three": {"csv": "csv", "dlc-h5": "h5", "trc": "trc", "mapose": "mapose.h5", "movement": "nc"},
    "empty": {
        "csv": "csv",
        "dlc-csv": "csv",
        "dlc-h5": "h5",
        "coco": "json",
        "movement": "nc",
        "mapose": "mapose.h5",
    },
}
MANY = "--moving 90 --near 12 --zone 'a=0,0 200,0 200,150 0,150' --body nose,tail"
COMMANDS = {
    "kinematics": f"kinematics two.mapose.h5 {MANY} -o a.csv",
    "scaled": "kinematics two.mapose.h5 --scale 400px=300mm --centre nose,tail --moving 0 -o a.csv",
    "kinematics in 3D": "kinematics three.mapose.h5 --seconds 1 --moving 100 -o a.csv",
    "kinematics of nobody": "kinematics empty.mapose.h5 --moving 3 -o a.csv",
    "swaps": "swaps two.mapose.h5 --json",
    "swaps of all": "swaps noisy.mapose.h5",
    "swaps of nobody": "swaps empty.mapose.h5",
    "name": "name two.mapose.h5 bob max",
    "name in a frame": "name noisy.mapose.h5 x max --frame 150",
    **{
        f"{file} as {to}": f"export {file}.mapose.h5 --to {to} -o a.{ending}"
        for file, formats in FORMATS.items()
        for to, ending in formats.items()
    },
    "plot": "plot two.mapose.h5 -o figures",
    "plot in 3D": "plot three.mapose.h5 -o figures",
    "plot of nobody": "plot empty.mapose.h5 -o figures",
    "kinematics as a dataset": "kinematics two.mapose.h5 -o a.nc",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_makes_of_parts_what_it_makes_of_the_whole(run_both, command):
    part, whole = run_both(COMMANDS[command])
    assert part == whole


@pytest.mark.parametrize("name", ["two", "noisy", "empty"])
def test_tables_for_sleap_are_those_of_the_whole(run_both, name):
    part, whole = run_both(f"export {name}.mapose.h5 --to slp -o a.slp")
    made = [dict(zip(files, read, strict=True))[Path("a.slp")] for *_, files, read in (part, whole)]
    for tables in made:
        del tables["metadata"]  # lists symmetries as they come
    assert part == whole
    frames, users = (made[0][table][1][0][0] for table in ("frames", "points"))
    assert (frames > 0) == (name != "empty") and (users > 0) == (name == "two")


@pytest.mark.parametrize("name", ["two", "three", "empty"])
def test_numbers_for_nwb_are_those_of_the_whole(run_both, name):
    pytest.importorskip("ndx_pose")
    told = []
    for said, _, files, read in run_both(f"export {name}.mapose.h5 --to nwb -o a.nwb"):
        tables = dict(zip(files, read, strict=True))[Path("a.nwb")]
        told.append((said, {n: values for n, (_, values) in tables.items()}))
    dates = ("file_create_date", "session_start_time", "timestamps_reference_time")
    for _, values in told:
        assert sum(n.endswith("/data") for n in values) > 20
        for date in dates:
            values.pop(date, None)
    assert told[0] == told[1]


def test_a_long_result_is_plotted_in_bins_and_thinned_as_the_whole(run_both, monkeypatch):
    for name, value in (("_MOST_BINS", 20), ("_MOST_POINTS", 40)):
        monkeypatch.setattr(f"mapose.plots.trajectories.{name}", value)
    monkeypatch.setattr("mapose.plots.social._MOST_BINS", 20)
    part, whole = run_both("plot two.mapose.h5 -o figures")
    assert part == whole and len([p for p in part[2] if p.suffix == ".png"]) == 5


def test_a_summary_of_parts_is_that_of_the_whole(run_both):
    part, whole = (json.loads(said) for _, said, *_ in run_both("kinematics two.mapose.h5 --json"))
    for one, other in zip(part.pop("individuals"), whole.pop("individuals"), strict=True):
        assert one.pop("mean_speed") == pytest.approx(other.pop("mean_speed"), rel=1e-12)
        assert one == other
    assert part == whole
