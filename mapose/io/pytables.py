"""Tables that pandas wrote through PyTables, read without PyTables and without unpickling.

DeepLabCut keeps its labels and results in this form. PyTables stores column names as pickles and
unpickles them on sight, which runs whatever code a stranger put there. Here the pickle is only
read as text, token by token: strings, lists and tuples are understood, all else is refused.

References
----------
pandas, ``io/pytables.py``: the formats "fixed" and "table".
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from mapose.arrays import Floats
from mapose.errors import FormatError
from mapose.io.hdf5 import get_dataset, open_hdf5

_USUAL = "df_with_missing"


@dataclass(frozen=True)
class Grid:
    """Numbers with names for columns and rows.

    Parameters
    ----------
    columns : list of tuple of str
        Name of each column, one part per header level.
    rows : list of tuple
        Name or number of each row.
    values : float64, (rows, columns)
        NaN = empty.
    """

    columns: list[tuple[str, ...]]
    rows: list[tuple[Any, ...]]
    values: Floats


def is_pytables(file: h5py.File) -> bool:
    """Tell whether PyTables wrote an HDF5 file."""
    return "PYTABLES_FORMAT_VERSION" in file.attrs


def read_grid(path: Path) -> Grid:
    """Read the one table that pandas stored in an HDF5 file.

    Parameters
    ----------
    path : Path
        File written by ``DataFrame.to_hdf``, format "table" or "fixed".

    Raises
    ------
    FormatError
        If there is no table, or more than one of which none is called ``df_with_missing`` as
        DeepLabCut calls its own, or its names are not plain text.
    """
    with open_hdf5(path) as file:
        groups = {n: g for n, g in file.items() if isinstance(g, h5py.Group) and _is_frame(g)}
        names = [_USUAL] if _USUAL in groups else list(groups)
        if len(names) != 1:
            raise FormatError(f"{path}: wanted one table written by pandas, found {len(groups)}")
        group = groups[names[0]]
        try:
            return _read_table(group) if "table" in group else _read_fixed(group)
        except (KeyError, ValueError, IndexError) as error:
            raise FormatError(
                f"{path}: its table cannot be read without unpickling ({error}); "
                "export it as csv and read that"
            ) from error


def _is_frame(group: h5py.Group) -> bool:
    return "table" in group or "block0_values" in group


def _read_table(group: h5py.Group) -> Grid:
    table = get_dataset(group, "table")
    columns: list[tuple[str, ...]] = []
    blocks = []
    for name in table.dtype.names:
        # Text, such as Lightning Pose's column "set", is no coordinate.
        if name.startswith("values_block_") and table.dtype[name].base.kind in "fiu":
            columns += [_as_tuple(c) for c in read_plain_pickle(table.attrs[f"{name}_kind"])]
            blocks.append(table[name].reshape(len(table), -1))
    order = [_as_tuple(c) for c in read_plain_pickle(group.attrs["non_index_axes"])[0][1]]
    values = np.concatenate(blocks, 1).astype(np.float64)
    place = {c: i for i, c in enumerate(columns)}
    rows = [(_as_text(r),) for r in table["index"]]
    order = [c for c in order if c in place]
    return Grid(order, rows, values[:, [place[c] for c in order]])


def _read_fixed(group: h5py.Group) -> Grid:
    columns, rows = _read_axis(group, "axis0"), _read_axis(group, "axis1")
    values = np.full((len(rows), len(columns)), np.nan)
    place = {c: i for i, c in enumerate(columns)}
    for b in range(int(group.attrs["nblocks"])):
        block = get_dataset(group, f"block{b}_values")
        numbers = block[()] if block.attrs.get("transposed", 0) else block[()].T
        values[:, [place[c] for c in _read_axis(group, f"block{b}_items")]] = numbers
    return Grid([tuple(str(p) for p in c) for c in columns], rows, values)


def _read_axis(group: h5py.Group, name: str) -> list[tuple[Any, ...]]:
    if name in group:
        return [(_as_text(v),) for v in get_dataset(group, name)[()]]
    parts = []
    for level in range(int(group.attrs[f"{name}_nlevels"])):
        known = [_as_text(v) for v in group[f"{name}_level{level}"][()]]
        codes = group[f"{name}_label{level}"][()]
        parts.append([known[c] if c >= 0 else "" for c in codes])
    return list(zip(*parts, strict=True))


def _as_text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else np.asarray(value).item()


def _as_tuple(value: Any) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, tuple) else (str(value),)


_CONSTANTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "INT", "BININT", "BININT1", "BININT2"}
_CONSTANTS |= {"STRING", "SHORT_BINSTRING", "LONG", "LONG1"}
_IGNORED = {"PROTO", "FRAME", "STOP"}


def read_plain_pickle(data: bytes) -> Any:
    """Read a pickle of strings, whole numbers, lists and tuples; nothing in it is run.

    Raises
    ------
    ValueError
        If the pickle holds anything else.

    Examples
    --------
    >>> import pickle
    >>> read_plain_pickle(pickle.dumps([("snout", "x"), ("snout", "y")], 0))
    [('snout', 'x'), ('snout', 'y')]
    """
    mark = object()
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        at = len(stack) - 1 - next(i for i, v in enumerate(reversed(stack)) if v is mark)
        taken = stack[at + 1 :]
        del stack[at:]
        return taken

    for op, argument, _ in pickletools.genops(bytes(data)):
        name, value = op.name, cast(Any, argument)
        if name in _CONSTANTS:
            stack.append(value)
        elif name == "NONE":
            stack.append(None)
        elif name == "MARK":
            stack.append(mark)
        elif name in ("LIST", "EMPTY_LIST"):
            stack.append(pop_to_mark() if name == "LIST" else [])
        elif name in ("TUPLE", "EMPTY_TUPLE"):
            stack.append(tuple(pop_to_mark()) if name == "TUPLE" else ())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            n = int(name[-1])
            stack[-n:] = [tuple(stack[-n:])]
        elif name == "APPEND":
            last = stack.pop()
            stack[-1].append(last)
        elif name == "APPENDS":
            taken = pop_to_mark()
            stack[-1].extend(taken)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(value)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(value)])
        elif name not in _IGNORED:
            raise ValueError(f"column names hold a pickled {name.lower()}, not plain text")
    return stack[-1]
