"""Numbers that options take: what makes no sense is refused alike by all commands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import typer

# Frame numbers up to which a float is exact.
_MOST = 2**53


def whole(*names: str, least: int = 0, most: int = _MOST, **more: Any) -> Any:
    """Make an option for a whole number.

    Parameters
    ----------
    *names : str
        As for `typer.Option`.
    least, most : int
        Smallest and largest one that makes sense.
    **more
        As for `typer.Option`.
    """
    return typer.Option(*names, parser=_make_reader(int, least, most, False), **_show(int, more))


def real(*names: str, least: float = 0, most: float = 1e9, above: bool = False, **more: Any) -> Any:
    """Make an option for a number; nan and infinity are none.

    Parameters
    ----------
    *names : str
        As for `typer.Option`.
    least, most : float
        Smallest and largest one that makes sense.
    above : bool
        The smallest one itself does not.
    **more
        As for `typer.Option`.
    """
    return typer.Option(
        *names, parser=_make_reader(float, least, most, above), **_show(float, more)
    )


def _show(kind: type, more: dict[str, Any]) -> dict[str, Any]:
    return {"metavar": "INTEGER" if kind is int else "FLOAT", **more}


def _make_reader(kind: type, least: float, most: float, above: bool) -> Callable[[Any], Any]:
    what = "a whole number" if kind is int else "a number"
    lowest = f"above {least:g}" if above else f"of {least:g} or more"
    wanted = f"{what} {lowest}{f' and at most {most:g}' if most < 1e6 else ''}"

    def read_number(text: Any) -> Any:
        try:
            number = kind(text)
        except (ValueError, OverflowError):
            number = math.nan
        low = number > least if above else number >= least
        if not (math.isfinite(number) and low and number <= most):
            raise typer.BadParameter(f"wanted {wanted}, came {text}")
        return number

    read_number.bounded = True  # type: ignore[attr-defined]
    return read_number
