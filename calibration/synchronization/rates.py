"""Whether cameras run at one rate."""

from __future__ import annotations

from collections.abc import Mapping

# A rate in a file is rounded; 29.97 against 30 is a difference of 0.1 %, and another mode of the
# camera.
_SAME = 5e-4


def find_different_rates(rates: Mapping[str, float | None], tolerance: float = _SAME) -> str:
    """List the rates of cameras if they are not the same, for a message.

    Parameters
    ----------
    rates : mapping of str to float
        Frames per second by camera; None = not known, which fits every rate.
    tolerance : float
        Share by which the fastest may exceed the slowest.

    Returns
    -------
    str
        Empty if they are the same.

    Examples
    --------
    >>> find_different_rates({"front": 30.0, "side": 25.0, "top": None})
    'front 30, side 25 frames/s'
    >>> find_different_rates({"front": 30.0, "side": 30.001})
    ''
    """
    known = {name: rate for name, rate in rates.items() if rate}
    if not known or max(known.values()) <= (1 + tolerance) * min(known.values()):
        return ""
    return ", ".join(f"{name} {rate:g}" for name, rate in known.items()) + " frames/s"
