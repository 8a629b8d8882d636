"""What the tests of calibration share lies beside them: `walkers` and `board_views`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
