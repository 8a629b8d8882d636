"""Reading files that may be damaged, or written by somebody who means no good.

All readers go through `explain_damage`. JSON and YAML are read by `load_json` and `load_yaml`,
whose limits keep a small file from taking all memory or time.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zipfile import BadZipFile

import yaml

if TYPE_CHECKING:
    import h5py

from mapose.errors import DiskError, FormatError, MaposeError, SettingsError, ShapeError

#: How deep lists and mappings may lie in each other in YAML.
MOST_DEEP = 50
#: Characters of a YAML file, and values in it once all its repetitions (aliases) are written out.
MOST_TEXT, MOST_VALUES = 4_000_000, 1_000_000
#: Longest name, in bytes, of a folder or file that is made of a name in a file.
MOST_NAME = 200

# What data lead to that are not as expected, in our own code and in libraries. NameError,
# AttributeError, AssertionError and ImportError are not among them: they are faults of ours.
_DAMAGE: tuple[type[Exception], ...] = (csv.Error, struct.error, zlib.error, BadZipFile)
_DAMAGE += (SyntaxError, TokenError)  # of the head of an array, which is Python
_DAMAGE += (OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError)
# How a heap of HDF5 begins, and how many bytes at both ends of a file are searched for heaps.
_HEAP, _END = b"GCOL\1\0\0\0", 1 << 21
# What leads to another folder, or what a terminal acts upon.
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]|^\.*$")


# What a disk says that was taken away, or a network share that does not answer.
_GONE = {
    getattr(errno, name, errno.EIO)
    for name in "EIO ENXIO ENODEV ENOTCONN ESTALE EHOSTDOWN EHOSTUNREACH ETIMEDOUT "
    "ECONNABORTED ECONNRESET ENETDOWN ENETUNREACH EREMOTEIO".split()
}
# Libraries in C and Rust tell the number of the fault in their text only.
_NUMBER = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")


def list_numbers(fault: BaseException) -> set[int]:
    """List the numbers by which the operating system has told a library what went wrong.

    Examples
    --------
    >>> list_numbers(OSError(28, "full")), list_numbers(RuntimeError("cannot open: errno = 5"))
    ({28}, {5})
    """
    told = getattr(fault, "errno", None)
    return {*([told] if told else []), *map(int, _NUMBER.findall(str(fault)))}


def explain_gone(fault: BaseException) -> str | None:
    """Say that a disk or a share does not answer, if that is what an exception tells, else None."""
    found = list_numbers(fault) & _GONE
    if not found:
        return None
    return (
        f"its disk or network share does not answer ({os.strerror(min(found))}); bring it back "
        "and run again"
    )


@contextmanager
def explain_damage(
    path: str | os.PathLike[str], error: type[MaposeError] = FormatError
) -> Iterator[None]:
    """Turn whatever reading a file leads to into one clear sentence that names the file.

    Our own errors stay as they are, but for those about shapes and settings, which become the
    given kind: it is the file that does not fit.

    Parameters
    ----------
    path : path
        What is read; named in messages.
    error : type of MaposeError
        What to raise.

    Raises
    ------
    MaposeError
        For damage, lack of memory, and files that cannot be opened. What was behind it is its
        ``__cause__``.
    DiskError
        Whatever `error` is, if the disk does not answer: nothing is damaged then.

    Examples
    --------
    >>> with explain_damage("poses.csv"):
    ...     [][3]
    Traceback (most recent call last):
    ...
    mapose.errors.FormatError: poses.csv cannot be read, it is damaged or of another kind ...
    """
    try:
        yield
    except (ShapeError, SettingsError) as fault:
        if isinstance(fault, error) or str(path) in str(fault):
            raise
        raise error(f"{path}: {fault}") from fault
    except MaposeError:
        raise
    except MemoryError as fault:
        raise error(
            f"{path} asks for more memory than there is; it is damaged, or too large for this "
            "machine"
        ) from fault
    except (FileNotFoundError, PermissionError, IsADirectoryError) as fault:
        raise error(f"{path} cannot be opened: {fault.strerror or fault}") from fault
    except _DAMAGE as fault:
        if gone := explain_gone(fault):
            raise DiskError(f"{path} cannot be read: {gone}") from fault
        raise error(
            f"{path} cannot be read, it is damaged or of another kind than it seems "
            f"({type(fault).__name__}: {fault})"
        ) from fault


@contextmanager
def read_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, with Python's hands.

    HDF5 fails, to the end of the process, when it closes a file of a share that is gone; and it
    locks what it opens, which shares that know no locks refuse. Its ``filename`` is a quoted path.

    Raises
    ------
    OSError
        If it is no HDF5 file.
    """
    import h5py

    with _Source(path) as source, h5py.File(source, "r") as file:
        yield file


class _Source(io.FileIO):
    """A file that is only read: nothing is lost if closing it fails."""

    def __repr__(self) -> str:
        return quote(os.fsdecode(self.name))

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def check_heaps(path: str | os.PathLike[str]) -> None:
    """Refuse an HDF5 file whose texts are damaged such that HDF5 would look for them for ever.

    Texts of varying length lie in heaps, lists of lengths, of which the last is what is free. They
    are looked for in the first and the last 2 MiB, where files of ours have them.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    FormatError
        If a length in a heap cannot be.
    """
    with _Source(path) as file:
        size = file.seek(0, os.SEEK_END)
        for start in [0] if size <= _END else [0, max(_END, size - _END)]:
            file.seek(start)
            raw = file.read(_END)
            at = raw.find(_HEAP)
            while at >= 0:
                if not _is_heap(raw, at):
                    raise FormatError(f"{path}: texts in it cannot be read; it is damaged")
                at = raw.find(_HEAP, at + len(_HEAP))


def _is_heap(raw: bytes, at: int) -> bool:
    """Tell whether the lengths in a heap add up, as far as it lies in these bytes."""
    (size,) = struct.unpack("<Q", raw[at + 8 : at + 16].ljust(8, b"\xff"))
    place, end = at + 16, at + size
    while place + 16 <= min(end, len(raw)):
        number, _, length = struct.unpack_from("<HHxxxxQ", raw, place)
        step = 16 + -(-length // 8) * 8 if number else length
        if step < 16 or place + step > end:
            return False
        place += step
    return True


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    FormatError
        If it is none, or nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as fault:
        raise FormatError(f"{path}: its values are nested too deeply to be read") from fault
    except ValueError as fault:
        raise FormatError(f"{path} is not json: {fault}") from fault


def load_columns(path: Path) -> dict[str, list[float]]:
    r"""Read the columns of a csv of numbers, such as a training's log; NaN = no number.

    Examples
    --------
    >>> file = getfixture("tmp_path") / "training.csv"
    >>> _ = file.write_text("step,loss\n10,0.5\n20,\n", encoding="utf-8")
    >>> load_columns(file)
    {'step': [10.0, 20.0], 'loss': [0.5, nan]}
    """
    with explain_damage(path), path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        names = [name for name in reader.fieldnames or [] if name]
    return {name: [_to_number(row[name]) for row in rows] for name in names}


def _to_number(cell: str | None) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def load_yaml(
    text: str, source: object, *, error: type[MaposeError] = FormatError, strict: bool = True
) -> Any:
    """Read YAML of plain values.

    Parameters
    ----------
    text : str
        At most `MOST_TEXT` characters, nested at most `MOST_DEEP` deep, and with all aliases
        written out at most `MOST_VALUES` values.
    source : object
        What messages call it.
    error : type of MaposeError
        What to raise.
    strict : bool
        Refuse a key that stands twice in one mapping; otherwise the last one counts, as for files
        of other tools.

    Raises
    ------
    MaposeError
        If it is no YAML, asks for more than plain values, says something twice, or exceeds a
        limit.

    Examples
    --------
    >>> load_yaml("keypoints: [snout, tail]", "mapose.yaml")
    {'keypoints': ['snout', 'tail']}
    """
    if len(text) > MOST_TEXT:
        raise error(f"{source}: wanted at most {MOST_TEXT} characters of YAML, came {len(text)}")
    if measure_depth(text) > MOST_DEEP:
        raise error(
            f"{source}: lists and mappings may be nested {MOST_DEEP} deep, these are deeper"
        )
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _count_values(node, {}) > MOST_VALUES:
            raise error(f"{source}: its aliases stand for more than {MOST_VALUES} values")
        if strict and (twice := _find_twice(node)):
            raise error(f"{source}: {twice}: keep one of them")
        return loader.construct_document(node)
    except MaposeError:
        raise
    except RecursionError as fault:
        raise error(f"{source}: its values are nested too deeply, or contain themselves") from fault
    except (yaml.YAMLError, ValueError, TypeError, LookupError) as fault:
        raise error(f"{source}: not readable as YAML: {fault}") from fault
    finally:
        if loader is not None:
            loader.dispose()


def measure_depth(text: str) -> int:
    """Find how deep brackets and the dashes of lists are nested at most, by a look at the signs.

    Examples
    --------
    >>> measure_depth("a: [[1, 2], {b: []}]"), measure_depth("- - 1")
    (3, 2)
    """
    depth = most = 0
    for found in re.finditer(r"[\[{]+|[\]}]+", text):
        depth += len(found[0]) if found[0][0] in "[{" else -len(found[0])
        depth = max(depth, 0)
        most = max(most, depth)
    dashes = max((len(d[0]) // 2 for d in re.finditer(r"(?:[-?] )+", text)), default=0)
    return max(most, dashes)


def _count_values(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values below a node, those behind an alias each time."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES  # of a node that contains itself
        inner: list[Any] = []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        known[id(node)] = 1 + sum(_count_values(part, known) for part in inner)
    return known[id(node)]


def _find_twice(top: yaml.Node) -> str:
    """Find a key that stands twice in one mapping; nothing if none does."""
    waiting, seen = [top], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            first: dict[tuple[str, str], yaml.Node] = {}
            for key in keys:
                if (other := first.setdefault((key.tag, key.value), key)) is not key:
                    lines = other.start_mark.line + 1, key.start_mark.line + 1
                    return f"{key.value!r} stands twice, in lines {lines[0]} and {lines[1]}"
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return ""


def is_plain_name(name: str) -> bool:
    r"""Tell whether a name from a file can be that of a folder or file, and leads nowhere else.

    Examples
    --------
    >>> [is_plain_name(name) for name in ("day 1", "12:30", "..", "a/b", "a\\b", "", "a\n")]
    [True, True, False, False, False, False, False]
    """
    fits = len(name.encode(errors="replace")) <= MOST_NAME and Path(name).name == name
    return fits and not _NO_NAME.search(name)
