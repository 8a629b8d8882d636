"""Measures of files: tables, datasets, figures, zones from files and the command line."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import FormatError, SettingsError
from mapose.io import load, read, save
from mapose.io.store import PosesFile
from mapose.io.zones import read_zones
from mapose.kinematics import MeasureOptions, Zone, measure_poses
from mapose.poses import Poses
from mapose.results import Scale, measure_file
from mapose.skeleton import Skeleton


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def file(tmp_path):
    """An animal that walks 100 px to the right at 20 px/s; another one that stays."""
    array = np.ones((101, 2, 2, 3), np.float32)
    array[:, 0, :, 0] = np.arange(101)[:, None] + [5, -5]
    array[:, 1, :, 0] = [[205, 195]]
    array[..., 1] = 50
    poses = Poses(array, Skeleton(["nose", "tail"], [("nose", "tail")]), ["x", "y"], rate=20)
    save(poses, tmp_path / "walk.mapose.h5")
    return tmp_path / "walk.mapose.h5"


def test_zones_in_pixels_and_measures_in_millimetres(file, tmp_path):
    zone = Zone("end", [[79.5, 0], [110, 0], [110, 90], [79.5, 90]])
    found = measure_file(
        file, options=MeasureOptions(zones=[zone], moving=5.0), scale=Scale(0.5, "mm")
    )
    use = next(use for use in found.uses if use.individual == "x")
    assert use.latency == pytest.approx(4.0) and use.seconds == pytest.approx(21 / 20)
    assert use.distance == pytest.approx(10)
    table = pd.read_csv(tmp_path / "walk.kinematics.csv")
    assert len(table) == 202
    assert table[table.individual == "x"].speed.dropna().to_numpy() == pytest.approx(10, rel=1e-4)
    bouts = pd.read_csv(tmp_path / "walk.kinematics.bouts.csv")
    assert bouts.behaviour.tolist() == ["moving", "resting", "in end"]
    assert bouts.individuals.tolist() == ["x", "y", "x"]


def test_the_command_with_zones_of_a_file(file, tmp_path):
    (tmp_path / "arena.yaml").write_text("end: [[80, 0], [110, 0], [110, 90], [80, 90]]\n")
    rows = "zone,x,y\nend,80,0\nend,110,0\nend,110,90\nend,80,90\n"
    (tmp_path / "arena.csv").write_text(rows)
    (tmp_path / "excel.csv").write_text(rows.replace(",", ";").replace("0\n", "0,0\n"), "utf-8-sig")
    names = ("arena.yaml", "arena.csv", "excel.csv")
    one, *others = (read_zones(tmp_path / name)[0] for name in names)
    for two in others:
        assert one.name == two.name and np.array_equal(one.corners, two.corners)
    done = run(
        "kinematics", file, "--zones", tmp_path / "arena.yaml", "--zone", "start=0,0 9,0 9,90 0,90",
        "--scale", "0,0:60,80=200mm", "--body", "nose,tail", "--plots", tmp_path / "figures",
        "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.output.splitlines()[-1])
    assert said["unit"] == "mm" and said["individuals"][0]["distance"] == pytest.approx(200)
    assert [z["zone"] for z in said["zones"]] == ["start", "start", "end", "end"]
    names = {p.name for p in (tmp_path / "figures").iterdir()}
    assert names == {"speeds.png", "zones.png", "bouts.png"}


def test_a_dataset_of_movement(file, tmp_path):
    done = run("kinematics", file, "-o", tmp_path / "walk.nc", "--joints", "nose-tail-nose")
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "walk.nc").names == ("x", "y")  # still one of poses
    import xarray as xr

    with xr.open_dataset(tmp_path / "walk.nc", engine="h5netcdf") as dataset:
        assert float(dataset["speed"][50, 0]) == pytest.approx(20)
        assert dataset["angle"].shape == (101, 2, 1)


def test_tables_and_figures_are_made_a_part_at_a_time(file, tmp_path, monkeypatch):
    options = MeasureOptions(
        joints=[("nose", "tail", "nose")], body=("nose", "tail"), moving=1,
        zones=[Zone("start", np.array([[0, 0], [9, 0], [9, 90], [0, 90]]))],
    )  # fmt: skip
    whole = measure_poses(load(file), options).to_xarray()
    read = []

    def read_poses(self, rows=None, *, old=PosesFile.read_poses):
        read.append(rows)
        return old(self, rows)

    monkeypatch.setattr(PosesFile, "read_poses", read_poses)
    monkeypatch.setattr("mapose.results.windows._SHORT", 0)
    monkeypatch.setattr("mapose.parts.PART", 30)
    drawn = {}
    monkeypatch.setattr(
        "mapose.plots.save_figure", lambda figure, place, made: drawn.update({place.stem: figure})
    )
    measure_file(file, tmp_path / "walk.nc", options=options, figures=tmp_path / "figures")
    assert max(rows.stop - rows.start for rows in read) < 60
    assert set(drawn) == {"speeds", "zones", "bouts"}
    lines = [line.get_ydata() for axes in drawn["speeds"].axes for line in axes.lines]
    np.testing.assert_allclose(np.transpose(lines), whole["speed"], rtol=1e-12)
    import xarray as xr

    with xr.open_dataset(tmp_path / "walk.nc", engine="h5netcdf") as dataset:
        del dataset.attrs["made_by"]
        xr.testing.assert_allclose(dataset, whole, rtol=1e-12)
        assert dataset.attrs == whole.attrs
        assert {v: dataset[v].dtype.kind for v in dataset} == {
            v: whole[v].dtype.kind for v in whole
        }


def test_many_files_and_what_is_refused(file, tmp_path):
    save(load(file), tmp_path / "other.mapose.h5")
    done = run("kinematics", file, tmp_path / "other.mapose.h5")
    assert done.exit_code == 0 and (tmp_path / "other.kinematics.csv").is_file()
    assert run("kinematics", file).exit_code == 0  # the same once more
    (tmp_path / "walk.kinematics.csv").write_text("corrected by hand")
    assert "--force" in str(run("kinematics", file).exception)
    assert run("kinematics", file, "--force").exit_code == 0
    for words, told in {
        ("--scale", "300mm"): "wanted 412px=300mm",
        ("--scale", "5,5:5,5=30mm"): "wanted 412px=300mm",
        ("--zone", "nest"): "NAME=x,y",
        ("--body", "nose"): "front,back",
        ("--joints", "nose-tail"): "a-b-c",
        ("--centre", "nosse"): "did you mean 'nose'",
    }.items():
        assert told in str(run("kinematics", file, "--force", *words).exception), words
    (tmp_path / "bad.yaml").write_text("nest: [[0, 0]]")
    with pytest.raises(FormatError, match="three or more corners"):
        read_zones(tmp_path / "bad.yaml")
    with pytest.raises(FormatError, match="no file of zones"):
        read_zones(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="--rate 25"):
        poses = load(file)
        save(Poses(poses.array, poses.skeleton, poses.individuals), tmp_path / "slow.mapose.h5")
        measure_file(tmp_path / "slow.mapose.h5")
