"""What the tests of edits share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
