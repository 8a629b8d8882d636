"""Our own file: what is saved is what is loaded, and nothing half-written is left."""

import subprocess
import sys
import textwrap
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mapose.errors import FormatError, MaposeError, ShapeError
from mapose.io.store import (
    PosesWriter,
    load,
    load_cameras,
    load_peaks,
    load_provenance,
    load_support,
    save,
)
from mapose.poses import Peaks, Poses, join_peaks
from mapose.skeleton import Skeleton

SKELETON = Skeleton(["nose", "ohrL", "ohrR"], [("nose", "ohrL"), ("nose", "ohrR")])
UNICODE = Skeleton(["Schnauze ü", "尾"], [("尾", "Schnauze ü")], [("Schnauze ü", "尾")])


def make_poses(rng, count=20, *, d=2, skeleton=SKELETON, names=("a", "b"), companions=True):
    shape = (count, 2, len(skeleton.keypoints))
    array = rng.normal(size=(*shape, d + 1)).astype(np.float32)
    array[rng.random(shape) < 0.3] = np.nan
    return Poses(
        array,
        skeleton,
        names,
        rate=29.97,
        unit="px" if d == 2 else "mm",
        frames=np.cumsum(rng.integers(1, 4, count)),
        identity=rng.random(shape[:2]) if companions else None,
        covariance=rng.normal(size=(*shape, d, d)) if companions else None,
    )


def make_peaks(rng, n_frames=20):
    frame = np.sort(rng.integers(0, n_frames, 5 * n_frames)) if n_frames else np.zeros(0, np.int64)
    n = len(frame)
    pairs = np.array(
        [(i, j) for i in range(n) for j in range(n) if i != j and frame[i] == frame[j]], np.int64
    ).reshape(-1, 2)
    return Peaks(
        frame=frame,
        keypoint=rng.integers(0, 3, n),
        xy=rng.normal(size=(n, 2)).astype(np.float32),
        score=rng.random(n).astype(np.float32),
        covariance=rng.normal(size=(n, 2, 2)).astype(np.float32),
        pairs=pairs,
        edge=rng.integers(0, 2, len(pairs)),
        affinity=rng.random(len(pairs)).astype(np.float32),
        n_frames=n_frames,
    )


def assert_same(a, b):
    """Compare two records field by field, arrays bit by bit."""
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y, err_msg=field.name, strict=True)
        else:
            assert x == y, field.name


def part(poses, rows):
    cut = {n: getattr(poses, n) for n in ("array", "frames", "identity", "covariance")}
    return replace(poses, **{n: None if v is None else v[rows] for n, v in cut.items()})


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("count", [0, 1, 20])
@pytest.mark.parametrize("names", [None, ("a", "b"), ("Fräulein Maus", "雄")])
@pytest.mark.parametrize("companions", [True, False])
@pytest.mark.parametrize("skeleton", [SKELETON, UNICODE, Skeleton(["only"])])
def test_saved_is_loaded(tmp_path, rng, d, count, names, companions, skeleton):
    poses = make_poses(rng, count, d=d, names=names, companions=companions, skeleton=skeleton)
    save(poses, tmp_path / "a.mapose.h5")
    assert_same(poses, load(tmp_path / "a.mapose.h5"))
    assert load_peaks(tmp_path / "a.mapose.h5") is None
    assert load_cameras(tmp_path / "a.mapose.h5") is None
    assert load_provenance(tmp_path / "a.mapose.h5") == {}


def test_no_rate_and_text_beyond_attribute_limit(tmp_path, rng):
    path = tmp_path / "a.mapose.h5"
    origin = {"model": "ü", "settings": {"long": "x" * 200_000}, "video": Path("clip.mp4")}
    save(replace(make_poses(rng), rate=None), path, provenance=origin, cameras='name = "ä"\n')
    assert load(path).rate is None
    assert load_provenance(path) == origin | {"video": "clip.mp4"}
    assert load_cameras(path) == 'name = "ä"\n'


def test_support_and_cameras_of_3d_poses(tmp_path, rng):
    path, poses = tmp_path / "a.mapose.h5", make_poses(rng, d=3)
    shape = poses.array.shape[:3]
    support = {
        "error": rng.random(shape).astype(np.float32),
        "n_views": rng.integers(0, 9, shape),
        "filled": rng.random(shape) < 0.3,
    }
    save(poses, path, support=support, cameras="[cam]\n")
    found = load_support(path)
    assert found.keys() == support.keys() and found["filled"].dtype == bool
    for name, values in support.items():
        np.testing.assert_array_equal(found[name], values)
    np.testing.assert_array_equal(
        load_support(path, rows=slice(3, 5))["n_views"], support["n_views"][3:5]
    )
    assert_same(poses, load(path))
    save(poses, path, support={"filled": support["filled"]})
    assert list(load_support(path)) == ["filled"]
    save(poses, path)
    assert load_support(path) == {}


def test_support_that_does_not_fit_is_told(tmp_path, rng):
    path, poses = tmp_path / "a.mapose.h5", make_poses(rng, d=3)
    with pytest.raises(
        ShapeError, match=r"no support 'eror': did you mean 'error'.*n_views: wanted"
    ):
        save(poses, path, support={"eror": np.zeros(3), "n_views": np.zeros(3)})
    assert not list(tmp_path.iterdir())


def test_peaks(tmp_path, rng):
    path = tmp_path / "a.mapose.h5"
    for count in (0, 20):
        peaks = make_peaks(rng, count)
        save(make_poses(rng, count), path, peaks=peaks)
        assert_same(peaks, load_peaks(path))


def test_candidate_links_come_back_sorted_by_frame(tmp_path, rng):
    peaks = make_peaks(rng)
    order = rng.permutation(len(peaks.edge))
    mixed = replace(
        peaks, pairs=peaks.pairs[order], edge=peaks.edge[order], affinity=peaks.affinity[order]
    )
    save(make_poses(rng), tmp_path / "a.mapose.h5", peaks=mixed)
    back = load_peaks(tmp_path / "a.mapose.h5")
    assert (np.diff(back.frame[back.pairs[:, 0]]) >= 0).all()
    links = {(*p, e, a) for p, e, a in zip(mixed.pairs, mixed.edge, mixed.affinity, strict=True)}
    assert links == {
        (*p, e, a) for p, e, a in zip(back.pairs, back.edge, back.affinity, strict=True)
    }


def test_runs_add_up_to_the_whole(tmp_path, rng):
    poses, runs = make_poses(rng, 30), [slice(0, 7), slice(7, 7), slice(7, 29), slice(29, 30)]
    peaks = [make_peaks(rng, r.stop - r.start) for r in runs]
    path = tmp_path / "a.mapose.h5"
    with PosesWriter(path, SKELETON, ("a", "b"), rate=29.97, provenance={"seed": 3}) as writer:
        for rows, run in zip(runs, peaks, strict=True):
            writer.append(part(poses, rows), run)
        assert not path.exists()
    assert_same(poses, load(path))
    assert_same(join_peaks(peaks), load_peaks(path))
    assert load_provenance(path) == {"seed": 3}


@pytest.mark.parametrize("rows", [slice(3, 11), slice(0, 0), slice(15, 99), slice(-2, None)])
def test_part_of_a_file(tmp_path, rng, rows):
    poses, peaks = make_poses(rng), make_peaks(rng)
    path = tmp_path / "a.mapose.h5"
    save(poses, path, peaks=peaks)
    assert_same(part(poses, rows), load(path, rows=rows))
    start, stop, _ = rows.indices(20)
    kept = (peaks.frame >= start) & (peaks.frame < stop)
    links = kept[peaks.pairs[:, 0]]
    some = load_peaks(path, rows=rows)
    np.testing.assert_array_equal(some.xy, peaks.xy[kept])
    np.testing.assert_array_equal(some.frame, peaks.frame[kept] - start)
    np.testing.assert_array_equal(some.xy[some.pairs], peaks.xy[peaks.pairs[links]])
    assert some.n_frames == stop - start
    with pytest.raises(ShapeError, match="without step"):
        load(path, rows=slice(0, 10, 2))


def test_nothing_appended_is_an_empty_file(tmp_path):
    with PosesWriter(tmp_path / "a.mapose.h5", SKELETON, ["a", "b"], covariance=True):
        pass
    assert load(tmp_path / "a.mapose.h5").array.shape == (0, 2, 3, 3)


def test_covariance_can_be_left_out(tmp_path, rng):
    with PosesWriter(
        tmp_path / "a.mapose.h5", SKELETON, ("a", "b"), rate=29.97, covariance=False
    ) as writer:
        writer.append(make_poses(rng))
    assert load(tmp_path / "a.mapose.h5").covariance is None


def test_unfitting_runs_are_refused(tmp_path, rng):
    poses = make_poses(rng)
    later = replace(poses, frames=poses.frames + 1000)
    path = tmp_path / "a.mapose.h5"
    with PosesWriter(path, SKELETON, ("a", "b"), rate=29.97) as writer:
        writer.append(poses, make_peaks(rng))
        for run, words in [
            (poses, "comes after frame"),
            (replace(later, unit="mm"), "unit: wanted px, came mm"),
            (replace(later, covariance=None), "covariance"),
            (replace(later, identity=None), "identity"),
            (replace(later, skeleton=Skeleton(["x", "y", "z"])), "skeleton"),
            (replace(later, individuals=("a", "c")), "individuals"),
        ]:
            with pytest.raises(ShapeError, match=words):
                writer.append(run, make_peaks(rng))
        with pytest.raises(ShapeError, match="needed in all runs"):
            writer.append(later)
        with pytest.raises(ShapeError, match="peaks of 3 frames"):
            writer.append(later, make_peaks(rng, 3))
    assert_same(poses, load(path))


def test_an_error_leaves_the_old_file(tmp_path, rng):
    poses, path = make_poses(rng), tmp_path / "a.mapose.h5"
    save(poses, path)
    with (
        pytest.raises(KeyError, match="mine"),
        PosesWriter(path, SKELETON, ("a", "b"), rate=29.97) as writer,
    ):
        writer.append(make_poses(rng))
        raise KeyError("mine")
    assert_same(poses, load(path))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to play a full disk with")
@pytest.mark.parametrize("limit", [0, 3000, 60_000])
def test_full_disk(tmp_path, limit):
    program = f"""
        import resource
        import numpy as np
        from mapose.errors import MaposeError
        from mapose.io.store import save
        from mapose.poses import Poses
        from mapose.skeleton import Skeleton
        noise = np.random.default_rng(0).random((5000, 2, 1, 3))
        poses = Poses(noise, Skeleton(["nose"]))
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            save(poses, r"{tmp_path / "a.mapose.h5"}")
        except MaposeError as fault:
            assert "full" in str(fault) and "a.mapose.h5" in str(fault), fault
        else:
            raise SystemExit("was written")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_folder(tmp_path, rng):
    with pytest.raises(MaposeError, match="there is no folder"):
        save(make_poses(rng), tmp_path / "none" / "a.mapose.h5")


def test_unusable_files(tmp_path, rng):
    path = tmp_path / "clip.mapose.h5"
    with pytest.raises(FormatError, match=r"no file clip\.mapose\.h5"):
        load(path)
    save(make_poses(rng, 500), path, peaks=make_peaks(rng, 500))
    with pytest.raises(FormatError, match=r"did you mean 'clip\.mapose\.h5'"):
        load(tmp_path / "clp.mapose.h5")
    whole = path.read_bytes()
    for share in (0.2, 0.6, 0.98):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FormatError, match="damaged"):
            load(path)
    path.write_text("x,y\n1,2\n", encoding="utf-8")
    with pytest.raises(FormatError, match="not HDF5 at all"):
        load_peaks(path)
    with h5py.File(path, "w") as file:
        file["tracks"] = np.zeros(3)
    with pytest.raises(FormatError, match="another tool"):
        load(path)


def test_newer_schema(tmp_path, rng):
    path = tmp_path / "a.mapose.h5"
    save(make_poses(rng), path)
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(FormatError, match=r"newer mapose \(schema 99.*upgrade"):
        load(path)


def test_datasets_are_packed_and_open_ended(tmp_path, rng):
    path = tmp_path / "a.mapose.h5"
    save(make_poses(rng, 3000), path)
    with h5py.File(path) as file:
        data = file["poses/array"]
        assert data.compression == "gzip" and data.shuffle
        assert data.maxshape[0] is None
        assert np.prod(data.chunks) * 4 <= 1 << 18
