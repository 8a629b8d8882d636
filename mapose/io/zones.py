"""Zones in files: YAML or csv."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from mapose.errors import FormatError
from mapose.reading import explain_damage, load_yaml
from mapose.zones import Zone


def read_zones(path: str | os.PathLike[str]) -> list[Zone]:
    """Read zones from a file.

    Parameters
    ----------
    path : path
        YAML with the corners of each zone by its name, ``nest: [[0, 0], [10, 0], [10, 10]]``; or
        a csv with the columns zone, x, y, one row per corner.

    Raises
    ------
    FormatError
        If the file is missing or holds no zones.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"there is no file of zones {path}")
    corners: dict[str, list[object]] = {}
    with explain_damage(path):
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            # Spreadsheets of some countries write semicolons, and commas in numbers.
            mark = ";" if ";" in text.partition("\n")[0] else ","
            rows = csv.DictReader(text.splitlines(), delimiter=mark)
            there = rows.fieldnames or ()
            if not {"zone", "x", "y"} <= set(there):
                raise FormatError(f"{path}: wanted the columns zone, x, y, came {', '.join(there)}")
            for row in rows:
                name, *place = ((row[axis] or "").strip() for axis in ("zone", "x", "y"))
                if not any((name, *place)):  # below the table
                    continue
                try:
                    corner = [float(cell.replace(",", ".")) for cell in place]
                except ValueError:
                    raise FormatError(
                        f"{path}: wanted numbers x and y in line {rows.line_num}, came {place}"
                    ) from None
                corners.setdefault(name, []).append(corner)
        else:
            found = load_yaml(text, path)
            if not isinstance(found, dict):
                raise FormatError(f"{path}: wanted the corners of each zone by its name")
            corners = found
        zones = [Zone(str(name), given) for name, given in corners.items()]  # type: ignore[arg-type]
    if not zones:
        raise FormatError(f"{path} holds no zones")
    return zones
