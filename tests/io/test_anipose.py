"""Anipose's 3D csv: its columns, several animals, and what points rest on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mapose.errors import FormatError
from mapose.io import read, read_support, save, write
from mapose.poses import Poses
from mapose.results.correcting import export_result
from mapose.skeleton import Skeleton

MOUSE = Skeleton(["nose_tip", "earL"], [("nose_tip", "earL")])


def make_poses(rng: np.random.Generator, names: list[str] | None, count: int = 20) -> Poses:
    array = rng.uniform(0.1, 0.9, (count, len(names or "a"), 2, 4)).astype(np.float32)
    array[..., :3] = 600 * array[..., :3] - 300
    array[3, 0, 1] = np.nan
    identity = rng.uniform(0.5, 1, array.shape[:2]) if names else None
    return Poses(array, MOUSE, names, rate=30, unit="mm", identity=identity)


def make_support(rng: np.random.Generator, poses: Poses) -> dict:
    shape = poses.array.shape[:3]
    views = rng.integers(0, 5, shape).astype(np.int16)
    error = rng.uniform(0, 3, shape).astype(np.float32)
    return {"error": error, "n_views": views, "filled": (views < 2) & (poses.confidence > 0)}


def test_columns_are_those_of_anipose(tmp_path: Path, rng: np.random.Generator) -> None:
    poses = make_poses(rng, None).sel(frames=[2, 3, 7])
    support = make_support(rng, poses)
    write(poses, tmp_path / "a.csv", support=support)
    table = pd.read_csv(tmp_path / "a.csv")
    wanted = [f"{p}_{c}" for p in MOUSE.keypoints for c in "x y z error ncams score".split()]
    wanted += [f"M_{i}{j}" for i in range(3) for j in range(3)] + [f"center_{i}" for i in range(3)]
    assert list(table.columns) == [*wanted, "fnum"]
    assert table.fnum.tolist() == [2, 3, 7]
    np.testing.assert_allclose(table.nose_tip_z, poses.points[:, 0, 0, 2], rtol=1e-6)
    np.testing.assert_allclose(table.nose_tip_error, support["error"][:, 0, 0], rtol=1e-6)
    assert table.nose_tip_ncams.tolist() == support["n_views"][:, 0, 0].tolist()
    assert table.loc[1, wanted[6:12]].isna().all()  # missing throughout, score as well
    assert (table[[f"M_{i}{i}" for i in range(3)]] == 1).all(axis=None)
    assert (table[["center_0", "M_01"]] == 0).all(axis=None)


@pytest.mark.parametrize("names", [None, ["ann", "Bo_b"]])
def test_it_is_read_back(tmp_path: Path, rng: np.random.Generator, names: list[str] | None) -> None:
    poses = make_poses(rng, names)
    support = make_support(rng, poses)
    write(poses, tmp_path / "a.csv", "csv", support=support)
    again = read(tmp_path / "a.csv")
    np.testing.assert_allclose(again.array, poses.array, rtol=1e-6)
    assert again.individuals == poses.individuals and again.unit == "unknown"
    assert again.skeleton.keypoints == MOUSE.keypoints
    assert again.identity is None
    rests = read_support(tmp_path / "a.csv")
    found = poses.confidence > 0
    np.testing.assert_allclose(rests["error"][found], support["error"][found], rtol=1e-6)
    assert np.isnan(rests["error"][~found]).all() and (rests["n_views"][~found] == 0).all()
    np.testing.assert_array_equal(rests["n_views"][found], support["n_views"][found])
    np.testing.assert_array_equal(rests["filled"], support["filled"])


def test_file_of_anipose_itself(tmp_path: Path) -> None:
    """Its tables start with other columns at times, and count no cameras where there is none."""
    text = (
        "fnum,tail_x,tail_y,tail_z,tail_error,tail_ncams,tail_score,M_00,center_0\n"
        "0,1.5,2,3,0.4,2,0.9,1,0\n1,,,,,,,1,0\n2,4,5,6,,,,1,0\n"
    )
    (tmp_path / "session.csv").write_text(text, encoding="utf-8")
    poses = read(tmp_path / "session.csv")
    assert poses.individuals is None and poses.skeleton.keypoints == ("tail",)
    tail = poses["slot0", "tail"]
    np.testing.assert_allclose(tail[0], [1.5, 2, 3, 0.9], rtol=1e-6)
    assert np.isnan(tail[1, :3]).all() and tail[1, 3] == 0
    assert tail[2].tolist() == [4, 5, 6, 1]  # a point without a score is there
    assert read_support(tmp_path / "session.csv")["n_views"].ravel().tolist() == [2, 0, 0]


def test_export_takes_along_what_the_file_has(tmp_path: Path, rng: np.random.Generator) -> None:
    poses = make_poses(rng, ["ann", "bob"])
    support = make_support(rng, poses)
    save(poses, tmp_path / "s.mapose.h5", support=support)
    export_result(tmp_path / "s.mapose.h5", tmp_path / "s.csv")
    rests = read_support(tmp_path / "s.csv")
    found = poses.confidence > 0
    np.testing.assert_allclose(rests["error"][found], support["error"][found], rtol=1e-6)
    export_result(tmp_path / "s.mapose.h5", tmp_path / "t.mapose.h5")
    np.testing.assert_array_equal(
        read_support(tmp_path / "t.mapose.h5")["filled"], support["filled"]
    )


def test_what_does_not_fit_is_told(tmp_path: Path, rng: np.random.Generator) -> None:
    poses = make_poses(rng, ["ann", "bob"])
    with pytest.raises(FormatError, match="names with a colon"):
        write(replace(poses, individuals=["a:b", "c"]), tmp_path / "a.csv")
    (tmp_path / "odd.csv").write_text("fnum,a_x,a_y,a_z,a_error\n0,1,2,three,4\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"wanted a number in row 1.*a_z.*'three'"):
        read(tmp_path / "odd.csv")
    (tmp_path / "odd.csv").write_text("fnum,a\n0,1\n", encoding="utf-8")
    with pytest.raises(FormatError, match="wanted columns"):
        read(tmp_path / "odd.csv", "anipose")
    flat = Poses(poses.array[..., 1:], MOUSE, poses.individuals)
    write(flat, tmp_path / "flat.csv")  # 2D is a long table as ever
    assert (tmp_path / "flat.csv").read_text(encoding="utf-8").startswith("frame,individual,")
