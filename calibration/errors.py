"""The one exception that calibration raises on purpose."""

import difflib
from collections.abc import Iterable


class CalibrationError(ValueError):
    """Cameras, points or a calibration file cannot be used.

    The message says what was wanted, what came, and what to do next.
    """


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to a misspelt one, or which there are."""
    names = [str(k) for k in known]
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
