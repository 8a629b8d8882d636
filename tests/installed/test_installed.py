"""The lists in setup.cfg against the tree; `python -m tests.installed` tries the wheel itself."""

import configparser
import zipfile
from pathlib import Path

import pytest

from tests.installed.__main__ import INSTALLED, ROOT, find_lost


def find_packages(root: Path) -> set[str]:
    """Find the packages that the tree holds, by the names under which they are installed."""
    return {
        ".".join([*target.split("/"), *path.parent.relative_to(root / source).parts])
        for source, target in INSTALLED.items()
        for path in (root / source).rglob("__init__.py")
    }


def test_setup_lists_all_packages():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(setup["options"]["packages"].split())
    assert listed == find_packages(ROOT), "setup.cfg: packages is not what lies in the tree"


@pytest.fixture
def tree(tmp_path):
    for name in ("mapose/edits/__init__.py", "calibration/__init__.py", "calibration/py.typed",
                 "configs/__init__.py", "configs/small.yaml", "mapose/zoo/mice/weights.safetensors",
                 "mapose/__pycache__/x.pyc"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_packages_are_found_by_their_installed_names(tree):
    assert find_packages(tree) == {"mapose.edits", "calibration", "mapose.configs"}


def test_a_wheel_that_lacks_files_is_caught(tree):
    whole = ["mapose/edits/__init__.py", "calibration/__init__.py", "calibration/py.typed",
             "mapose/configs/__init__.py", "mapose/configs/small.yaml",
             "mapose/zoo/mice/weights.safetensors"]  # fmt: skip
    for lost in ("", "mapose/edits/__init__.py", "calibration/py.typed", *whole[-2:]):
        with zipfile.ZipFile(tree / "a.whl", "w") as wheel:
            for name in whole:
                if name != lost:
                    wheel.writestr(name, "")
        assert find_lost(tree / "a.whl", tree) == ([lost] if lost else [])
