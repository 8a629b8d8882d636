"""The list of edits beside a result: plain text, one line each, in the order they were made.

``frame,kind,first,second`` are the frame, the kind and both names; ``first_before``,
``second_before``, ``first_after`` and ``second_after`` say where the animals were, each as
``frame x y`` (or ``frame x y z``), several with `` | `` between them, empty where it is not known.
``recording`` is the fingerprint of the video, where it is known. Where something was deleted or
moved, ``last`` and ``keypoint`` say until which frame, and what. Further columns are a person's own
and stay.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mapose.edits.records import POINTWISE, Edit, Sighting, Sightings
from mapose.errors import FormatError
from mapose.files import EDITS, RESULT, write_atomically
from mapose.reading import explain_damage

_PLACES = ("first_before", "second_before", "first_after", "second_after")
_COLUMNS = ("frame", "kind", "first", "second", *_PLACES)
_RECORDING = "recording"
# Columns of lists in which something was deleted or moved.
_FURTHER = ("last", "keypoint")


def find_edits_path(path: str | os.PathLike[str]) -> Path:
    """Find where the edits of a result lie: ``monday.mapose.h5`` has ``monday.edits.csv``."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(RESULT) + EDITS)


def load_edits(path: str | Path) -> list[Edit]:
    """Load a list of edits, in the order in which they were made.

    Parameters
    ----------
    path : str or Path
        A ``.edits.csv`` file. Where there is none, or it is empty, there are no edits.

    Raises
    ------
    FormatError
        If a column is missing or a line cannot be understood; all faults are listed.
    """
    path = Path(path)
    if not path.is_file():
        return []
    with explain_damage(path):
        return _read_edits(path)


def _read_edits(path: Path) -> list[Edit]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a text in utf-8: {error}") from error
    # Spreadsheets write semicolons in some countries.
    comma = ";" if ";" in text.partition("\n")[0] else ","
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=comma) if any(row)]
    if not rows:
        return []
    columns = [name.strip() for name in rows[0]]
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise FormatError(
            f"{path} has no column {', '.join(missing)}, only {', '.join(columns)}; wanted a "
            f"first line {','.join(_COLUMNS)}"
        )
    edits, faults = [], []
    for number, row in enumerate(rows[1:], 2):
        try:
            if len(row) != len(columns):
                raise ValueError(f"wanted {len(columns)} fields, came {len(row)}")
            edits.append(_read_line(dict(zip(columns, row, strict=True))))
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        raise FormatError(f"{path}: {'; '.join(faults)}")
    return edits


def save_edits(edits: Iterable[Edit], path: str | Path) -> None:
    """Save a list of edits as plain text, whole or not at all.

    Parameters
    ----------
    edits : iterable of Edit
        In the order in which they were made.
    path : str or Path
        Replaced if it exists.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "monday.edits.csv"
    >>> save_edits([Edit(300, ("ann", "bob"))], path)
    >>> print(load_edits(path)[0])
    frame 300: ann and bob are swapped from here on
    """
    edits = list(edits)
    further = _FURTHER if any(_list_further(edit) for edit in edits) else ()
    own = [n for n in dict.fromkeys(n for edit in edits for n in edit.notes) if n not in further]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, _RECORDING, *further, *own])
    for edit in edits:
        notes = [edit.notes.get(name, "") for name in own]
        cells = (_list_further(edit) or [""] * len(further)) if further else []
        writer.writerow([*_list_cells(edit), edit.recording, *cells, *notes])
    with write_atomically(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def write_line(edit: Edit) -> str:
    """Write what an edit says in one line, by which it is known again in another list."""
    return ",".join([*_list_cells(edit), *_list_further(edit)])


def _list_cells(edit: Edit) -> list[str]:
    seen = [_write_sightings(s) for s in (*edit.before, *edit.after)]
    return [str(edit.frame), edit.kind, *edit.individuals, *seen]


def _list_further(edit: Edit) -> list[str]:
    """List what only edits of points have; nothing for others."""
    if edit.last is None and not edit.keypoint:
        return []
    return ["" if edit.last is None else str(edit.last), edit.keypoint]


def _read_line(line: dict[str, str]) -> Edit:
    try:
        frame = int(line["frame"])
    except ValueError:
        raise ValueError(f"wanted the number of a frame, came {line['frame']!r}") from None
    a, b, c, d = (_read_sightings(line[name]) for name in _PLACES)
    names = line["first"].strip(), line["second"].strip()
    recording, kind = line.get(_RECORDING, "").strip(), line["kind"].strip()
    known = (*_COLUMNS, _RECORDING, *(_FURTHER if kind in POINTWISE else ()))
    # In a list about names alone, columns called like the further ones are a person's own.
    own = {n: cell for n, cell in line.items() if n not in known and (cell or n not in _FURTHER)}
    last, keypoint = _read_further(line) if kind in POINTWISE else (None, "")
    return Edit(frame, names, kind, (a, b), (c, d), recording, last, keypoint, own)


def _read_further(line: dict[str, str]) -> tuple[int | None, str]:
    last = line.get("last", "").strip()
    try:
        return int(last) if last else None, line.get("keypoint", "").strip()
    except ValueError:
        raise ValueError(f"last: wanted the number of a frame, came {last!r}") from None


def _read_sightings(text: str) -> Sightings:
    return tuple(_read_sighting(part) for part in text.split("|")) if text.strip() else ()


def _read_sighting(text: str) -> Sighting:
    try:
        frame, *place = text.split()
        sighting = Sighting(int(frame), tuple(float(x) for x in place))
    except ValueError:
        sighting = Sighting(0, ())
    if len(sighting.place) not in (2, 3) or not np.isfinite(sighting.place).all():
        raise ValueError(f"wanted a place as 'frame x y', came {text.strip()!r}")
    return sighting


def _write_sightings(sightings: Sightings) -> str:
    return " | ".join(" ".join([str(s.frame), *(f"{x:.2f}" for x in s.place)]) for s in sightings)
