"""Exceptions that mapose raises on purpose.

Every message says what was wanted, what came, and what to do next.
"""

import difflib
import re
from collections.abc import Iterable

# Longer messages are those of other libraries, or quote a damaged file at length.
_LONGEST = 1500
#: Known names that are listed where none is near.
_SHOWN = 12


class MaposeError(Exception):
    """Base of every deliberate error of mapose; its text is one line."""

    def __str__(self) -> str:
        return tell_in_one_line(super().__str__())


class ShapeError(MaposeError, ValueError):
    """An array, name list or index does not fit the others."""


class SettingsError(MaposeError, ValueError):
    """A setting, option or project file holds something unusable."""


class FormatError(MaposeError, ValueError):
    """A file is not what its reader expects."""


class VideoError(MaposeError, ValueError):
    """A video is missing, damaged or cannot be decoded or written."""


class DiskError(MaposeError):
    """A disk or a network share does not answer: what lies on it is neither missing nor damaged."""


class MissingExtraError(MaposeError, ImportError):
    """An optional library is not installed."""


def tell_in_one_line(text: str) -> str:
    r"""Make one line of a message, without what a terminal would act upon, and of fair length.

    Examples
    --------
    >>> tell_in_one_line("not readable:\n  line 3,\x1b[2J")
    'not readable: line 3,[2J'
    """
    line = re.sub(
        r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", "", re.sub(r"\s+", " ", text)
    ).strip()
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"


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
        ``"did you mean 'snout'?"`` or, if nothing is near, the first of the known names.

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
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "known: " + (", ".join(names[:_SHOWN]) if names else "none") + more
