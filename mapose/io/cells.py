"""Text tables as people and programs leave them: one rule for what a cell is, for all readers.

Spreadsheets separate by semicolons or tabs, write decimal commas and Windows' own letters, put
quotes around every cell or empty columns at the end. A cell in quotes may hold what else separates.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mapose.arrays import Floats
from mapose.errors import FormatError
from mapose.files import write_atomically

log = logging.getLogger(__name__)

#: What stands in a cell that holds no number, in lower case.
EMPTY = ("", "nan", "na", "n/a", "#n/a", "none", "null")
_SEPARATORS = ";\t,"
# Rows that tell the separator and how many columns there are.
_LOOKED_AT = 50
_HEAD = 1 << 20
_COMMA = r"^\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*$"
_THOUSANDS = r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$"


class TextTable:
    """The rows of a csv, tsv or txt, one after the other.

    Parameters
    ----------
    path : Path
    head_only : bool
        Read no more than the first megabyte, to see what kind of table it is.

    Raises
    ------
    FormatError
        If it is not text.
    """

    def __init__(self, path: Path, *, head_only: bool = False) -> None:
        self.path = path
        text = _decode(path, _HEAD if head_only else None)
        said = re.match(r'"?sep=(.)"?\r?\n', text)  # how Excel is told
        text = text[said.end() :] if said else text
        rows = _read_first(text, said.group(1) if said else None)
        self.separator, widths = rows
        self.width = max(widths, default=0)
        self._text = io.StringIO(text, newline="")
        self._rows = csv.reader(self._text, delimiter=self.separator, skipinitialspace=True)

    def read_row(self) -> list[str]:
        """Read the next row, cells without blanks around them; an empty list after the last."""
        with _long_cells():
            return [cell.strip() for cell in next(self._rows, [])]

    def read_rest(self, texts: int | None = None) -> pd.DataFrame:
        """Read all further rows; those without any content are left out.

        Parameters
        ----------
        texts : int, optional
            So many columns at the left are text; the others are numbers as far as can be seen,
            and text where a cell is none. All are text by default.

        Raises
        ------
        FormatError
            If a row is longer than the first ones.
        """
        first = self._rows.line_num
        width = self.width
        texts = width if texts is None else texts
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                rows = pd.read_csv(
                    self._text,
                    sep=self.separator,
                    header=None,
                    names=range(width),
                    index_col=False,
                    dtype=dict.fromkeys(range(texts), str),
                    keep_default_na=False,
                    na_values={c: list(EMPTY) for c in range(texts, width)},
                    skipinitialspace=True,
                    low_memory=False,
                )
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=range(width))
        except (pd.errors.ParserError, pd.errors.ParserWarning) as fault:
            found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(fault))
            what = f"a row has more cells than the first ones ({width})"
            if found:
                line, saw = first + int(found.group(2)), found.group(3)
                what = f"line {line} has {saw} cells, the lines before it {width}"
            raise FormatError(
                f"{self.path}: {what}; a name with a comma in it has to stand in quotes"
            ) from fault
        left = rows.iloc[:, :texts].fillna("")
        rows = pd.concat([left, rows.iloc[:, texts:]], axis=1)
        blank = (left == "").all(axis=1) & rows.iloc[:, texts:].isna().all(axis=1)
        return rows[~blank].reset_index(drop=True) if blank.any() else rows


def read_first_rows(path: Path, count: int) -> list[list[str]]:
    """Read the first rows of a text table, to see what kind it is; none if it is no text."""
    try:
        table = TextTable(path, head_only=True)
        return [table.read_row() for _ in range(count)]
    except (FormatError, csv.Error):
        return []


def read_numbers(cells: pd.DataFrame, table: TextTable) -> Floats:
    """Read numbers, float64 of the same shape; NaN where a cell is empty.

    Parameters
    ----------
    cells : pandas.DataFrame
        Of `TextTable.read_rest`.
    table : TextTable
        Where they are from.

    Raises
    ------
    FormatError
        If a cell holds no number; it is named.
    """
    values = np.empty(cells.shape)
    texts = [c for c in range(cells.shape[1]) if not _is_numeric(cells.iloc[:, c])]
    mended = mend_decimals(cells.iloc[:, texts].fillna("").astype(str), table)
    for column in range(cells.shape[1]):
        if column not in texts:
            values[:, column] = cells.iloc[:, column].to_numpy(np.float64)
            continue
        cell = mended.iloc[:, texts.index(column)].str.strip()
        numbers = pd.to_numeric(cell, errors="coerce")
        wrong = cell[numbers.isna() & ~cell.str.lower().isin(EMPTY)]
        if len(wrong):
            raise FormatError(
                f"{table.path}: wanted a number in row {wrong.index[0] + 1} below the header, "
                f"column {cells.columns[column]}; came {wrong.iloc[0]!r}"
            )
        values[:, column] = numbers.to_numpy(np.float64)
    return values


def mend_decimals(cells: pd.DataFrame, table: TextTable) -> pd.DataFrame:
    """Write numbers with decimal commas, as half of Europe's spreadsheets do, with points.

    Parameters
    ----------
    cells : pandas.DataFrame
        Columns of text that should hold numbers.
    table : TextTable
        Where they are from: between semicolons a comma in a number is one of decimals.

    Raises
    ------
    FormatError
        If all such cells are like 1,234, which may be more than a thousand as well.
    """
    found = {c: hits for c in cells if (hits := cells[c].str.match(_COMMA)).any()}
    if not found:
        return cells
    if table.separator != ";":
        alike = [cells.loc[hits, c] for c, hits in found.items()]
        if all(column.str.match(_THOUSANDS).all() for column in alike):
            cell = alike[0].iloc[0].strip()
            raise FormatError(
                f"{table.path}: {cell!r} may be {cell.replace(',', '.')} or "
                f"{cell.replace(',', '')}; write numbers with a point for the decimals"
            )
    mended = cells.copy()
    for c, hits in found.items():
        mended[c] = cells[c].where(~hits, cells[c].str.replace(",", "."))
    return mended


def write_table(parts: Iterable[pd.DataFrame], path: Path, *, index: bool = False) -> None:
    """Write a csv that comes back the same: names may hold commas, quotes and line breaks.

    Parameters
    ----------
    parts : iterable of pandas.DataFrame
        Run after run of rows with the same columns; texts are the same ones in all runs.
    path : Path
        Replaced when all is written.
    index : bool
        Write the index as well.
    """
    options: dict[str, Any] = {"index": index, "lineterminator": "\n"}
    with (
        write_atomically(path, error=FormatError) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        for number, table in enumerate(parts):
            if not number:
                options["quoting"] = csv.QUOTE_NONNUMERIC if _is_odd(table) else csv.QUOTE_MINIMAL
            table.to_csv(file, header=not number, **options)


def _is_odd(table: pd.DataFrame) -> bool:
    """Tell whether a name holds the sign that Python by itself quotes only where it ends lines."""
    names = np.ravel([list(map(str, np.atleast_1d(name))) for name in table.columns])
    texts = [column.unique() for _, column in table.items() if column.dtype.kind not in "fiub"]
    return any("\r" in str(cell) for cells in (names, *texts) for cell in cells)


def _is_numeric(column: pd.Series) -> bool:
    return column.dtype.kind in "fiu"


def _decode(path: Path, most: int | None) -> str:
    """Read text in UTF-8, or UTF-16 that says so, else in Windows' own letters."""
    try:
        with path.open("rb") as file:
            data = file.read() if most is None else file.read(most)
    except OSError as fault:
        raise FormatError(f"{path} cannot be opened: {fault.strerror or fault}") from fault
    cut = most is not None and len(data) == most
    if cut:  # in the middle of a letter, perhaps
        data = data[: data.rfind(b"\n") + 1] or data[:-4]
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise FormatError(f"{path} is not a plain text table")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if most is None:
            log.warning("%s is not UTF-8; it is read as Windows-1252: check its names", path.name)
        return data.decode("cp1252", errors="replace")


def _read_first(text: str, separator: str | None) -> tuple[str, list[int]]:
    """Find the separator, and how many cells the first rows have with it.

    It is the one that cuts all first rows into most cells; commas that only numbers have, or
    semicolons that only names have, do not do that.
    """
    found: dict[str, list[int]] = {}
    for sign in [separator] if separator else _SEPARATORS:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=sign, skipinitialspace=True)
        with _long_cells():
            first = itertools.islice(rows, _LOOKED_AT)
            found[sign] = [len(row) for row in first if row]
    best = max(found, key=lambda sign: (min(found[sign], default=0), max(found[sign], default=0)))
    return best, found[best]


@contextmanager
def _long_cells() -> Iterator[None]:
    """Read cells of any length; Python's limit is one for the whole process."""
    before = csv.field_size_limit(_HEAD * 1024)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def find_blank(names: Sequence[str]) -> list[bool]:
    """Tell which cells of a header are empty, or hold what pandas puts into empty ones."""
    placed = re.compile(r"Unnamed: \d+(_level_\d+)?")
    return [not name or placed.fullmatch(name) is not None for name in names]
