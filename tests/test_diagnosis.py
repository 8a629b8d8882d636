"""What `mapose doctor` finds: missing, broken and doubled parts of an installation."""

import configparser
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

from mapose import config, diagnosis
from mapose.diagnosis import diagnose

ROOT = Path(__file__).resolve().parents[1]


def read_requirements(text: str) -> list[str]:
    return [re.split(r"[<>=!~]", line)[0] for line in text.split()]


def test_this_environment_is_whole():
    """Also: no file of OpenCV's belongs to two distributions."""
    found = diagnose()
    assert found.faults == [] and found.notes == []
    assert str(found).endswith("nothing is wrong") and all(found.libraries.values())


def test_it_knows_all_requirements():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(diagnosis._LIBRARIES) == set(read_requirements(setup["options"]["install_requires"]))
    extras = {k: v for k, v in setup["options.extras_require"].items() if k != "test"}
    known = {extra: set(names) for extra, (names, _) in diagnosis._EXTRAS.items()}
    assert known == {extra: set(read_requirements(text)) for extra, text in extras.items()}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A package with a part that needs what is not there, and one that does."""
    folder = tmp_path / "sick_house"
    (folder / "room").mkdir(parents=True)
    for name in ("__init__", "well", "room/__init__", "room/bed"):
        (folder / f"{name}.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(diagnosis, "_PACKAGES", ("sick_house",))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "sick_house"]:
        del sys.modules[name]


def test_a_whole_house_has_no_faults(house):
    assert diagnosis._find_broken(set()) == []


def test_what_cannot_be_imported_is_named_with_its_cause(house):
    for name in ("a", "b", "c", "d", "room/e"):
        (house / f"{name}.py").write_text("import sick_house.cellar", encoding="utf-8")
    (house / "f.py").write_text("raise OSError('no DLL\\nmore')", encoding="utf-8")
    first, second = diagnosis._find_broken(set())
    assert first.startswith(
        "sick_house.a, sick_house.b, sick_house.c and 2 more cannot be imported"
    )
    assert "No module named 'sick_house.cellar'" in first and "pip install" in first
    assert second.startswith("sick_house.f cannot be imported (OSError: no DLL): pip install")


def test_a_package_that_is_missing_or_broken_itself_is_named(house, monkeypatch):
    (house / "room" / "__init__.py").write_text("import nothing_like_it", encoding="utf-8")
    monkeypatch.setattr(diagnosis, "_PACKAGES", ("sick_house", "no_house"))
    room, whole = diagnosis._find_broken(set())
    assert room.startswith("sick_house.room cannot") and whole.startswith("no_house cannot")


def test_a_missing_library_is_told_once(house, monkeypatch):
    (house / "a.py").write_text("import cv2_of_old", encoding="utf-8")
    monkeypatch.setattr(diagnosis, "_LIBRARIES", ("numpy", "opencv-of-old"))
    monkeypatch.setattr(diagnosis, "_MODULES", {"opencv-of-old": "cv2_of_old"})
    found = [fault for fault in diagnose().faults if "old" in fault]
    assert found == ["opencv-of-old is missing: pip install opencv-of-old"]


def test_extras_are_no_fault(house, monkeypatch):
    monkeypatch.setattr(diagnosis, "_EXTRAS", {"nwb": (("no-such-library",), "NWB files")})
    found = diagnose()
    assert found.notes == ['for NWB files: pip install "mapose[nwb]"']
    assert not [fault for fault in found.faults if "nwb" in fault]
    assert "no-such-library        not installed" in str(found)


def test_presets_that_are_not_there_are_told(house, monkeypatch):
    monkeypatch.setattr(config, "list_presets", list)
    assert [fault for fault in diagnose().faults if "presets are missing" in fault]


def make_distribution(folder: Path, name: str, *files: str) -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")


@pytest.mark.parametrize("shared", [True, False])
def test_two_opencvs_in_one_place_are_a_fault(house, tmp_path, monkeypatch, shared):
    theirs = ["cv2/__init__.py", "cv2/cv2.so", "opencv.libs/x.so"] if shared else ["other/x.py"]
    make_distribution(tmp_path, "opencv-contrib-python", "cv2/__init__.py", "cv2/cv2.so")
    make_distribution(tmp_path, "opencv-python-headless", *theirs)
    monkeypatch.setattr(
        importlib.metadata, "distributions",
        lambda: importlib.metadata.MetadataPathFinder.find_distributions(
            importlib.metadata.DistributionFinder.Context(path=[str(tmp_path)])
        ),
    )  # fmt: skip
    found = diagnose()
    assert found.libraries["opencv-python-headless"] == "1.0"
    faults = [fault for fault in found.faults if "same files" in fault]
    if shared:
        names = "opencv-contrib-python and opencv-python-headless"
        assert faults[0].startswith(f"{names} have written the same files (2 of cv2)")
    assert len(faults) == shared
