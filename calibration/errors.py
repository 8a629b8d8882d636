"""The one exception that calibration raises on purpose."""

import difflib
import re
from collections.abc import Iterable

_LONGEST = 1500


class CalibrationError(ValueError):
    """Cameras, points or a calibration file cannot be used.

    The message says what was wanted, what came, and what to do next, in one line.
    """

    def __str__(self) -> str:
        line = re.sub(r"\s+", " ", super().__str__()).strip()
        line = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "", line)
        half = _LONGEST // 2
        return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to a misspelt one, or which there are."""
    names = [str(k) for k in known]
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
