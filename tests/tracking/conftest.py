"""What the tests of tracking share."""

from collections.abc import Callable

import pytest

from tests.tracking.walking import Walks, make_walks


@pytest.fixture
def walks() -> Callable[..., Walks]:
    """Maker of walking animals with exact truth and their detections."""
    return make_walks
