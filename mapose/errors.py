"""Exceptions that mapose raises on purpose.

Every message says what was wanted, what came, and what to do next.
"""

import difflib
from collections.abc import Iterable


class MaposeError(Exception):
    """Base of every deliberate error of mapose."""


class ShapeError(MaposeError, ValueError):
    """An array, name list or index does not fit the others."""


class SettingsError(MaposeError, ValueError):
    """A setting, option or project file holds something unusable."""


class FormatError(MaposeError, ValueError):
    """A file is not what its reader expects."""


class VideoError(MaposeError, ValueError):
    """A video is missing, damaged or cannot be decoded or written."""


class MissingExtraError(MaposeError, ImportError):
    """An optional library is not installed."""


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to a misspelt one.

    Parameters
    ----------
    name : str
        What was asked for.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        ``"did you mean 'snout'?"`` or, if nothing is near, the list of known names.

    Examples
    --------
    >>> suggest_name("snuot", ["snout", "tail"])
    "did you mean 'snout'?"
    """
    names = [str(k) for k in known]
    lowered = {n.lower(): n for n in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    if near:
        return f"did you mean {lowered[near[0]]!r}?"
    return "known: " + (", ".join(names) if names else "none")
