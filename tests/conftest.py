"""What all tests share: the way to the real recordings, and a seeded generator."""

import importlib.util
import os
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import typer.testing

# The tree of commands takes 0.1 s to build, which a thousand calls of the command line would pay.
typer.testing._get_command = cache(typer.testing._get_command)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of the real recordings; the test is skipped where they are not at hand."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MAPOSE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(
            "needs the real recordings: set MAPOSE_DATA to their folder (see CONTRIBUTING.md)"
        )
    return folder


@pytest.fixture
def movement() -> ModuleType:
    """The movement package; where it is installed but cannot be imported, the test fails."""
    if importlib.util.find_spec("movement") is None:
        pytest.skip("needs movement: pip install --no-deps -c constraints.txt movement")
    import movement.io.load_poses
    import movement.kinematics
    import movement.validators.datasets

    return movement


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
