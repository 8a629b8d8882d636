"""What the tests of tracking share."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from walking import Walks, make_walks


@pytest.fixture
def walks() -> Callable[..., Walks]:
    """Maker of walking animals with exact truth and their detections."""
    return make_walks
