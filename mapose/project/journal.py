"""The journal of a project's labels: every change, one line of JSON each, only ever added to.

``labels/journal.jsonl`` is flushed to the disk before a change is acknowledged. A last line that
a killed program has left half-written counts for nothing and is cut off by the next change.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mapose.errors import FormatError, MaposeError
from mapose.files import explain_write_fault, sync_file
from mapose.project.changes import Step

_PART = 1 << 16


@dataclass(frozen=True)
class Entry:
    """A line of the journal.

    Parameters
    ----------
    number : int
        Of the entry, and of the state of the labels after it; the first is 1.
    when : str
        UTC, as in ``2026-11-29T12:00:00Z``.
    who : str
        Name of the account.
    what : str
        The change in words.
    steps : list of dict
        The change itself, see `mapose.project.changes`.
    undo, redo : int
        The entry that an undo, or a redo, after this one takes back; 0 = there is none.
    below : int
        What the one of the two that this entry has moved was before.
    """

    number: int
    when: str
    who: str
    what: str
    steps: list[Step] = field(repr=False)
    undo: int = 0
    redo: int = 0
    below: int = 0

    def __str__(self) -> str:
        return f"{self.number}  {self.when}  {self.who}  {self.what}"

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record for people, without the steps."""
        return {name: getattr(self, name) for name in ("number", "when", "who", "what")}


class Journal:
    """A file of entries; whoever adds to it holds the lock of the project.

    Parameters
    ----------
    path : Path
        The file; there or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes of the file, 0 where there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def append(self, entry: Entry, end: int) -> int:
        """Add an entry and give the place after it; it is on the disk when this returns.

        Parameters
        ----------
        entry : Entry
        end : int
            Where the last whole entry ends; what lies behind is a half-written one.

        Raises
        ------
        MaposeError
            If the disk does not take it; then nothing is added.
        """
        plain = {f.name: getattr(entry, f.name) for f in fields(Entry)}
        line = (json.dumps(plain, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
        is_new = not self.path.exists()
        try:
            with self.path.open("x+b" if is_new else "r+b") as file:
                try:
                    file.seek(end)
                    file.truncate()
                    file.write(line)
                    file.flush()
                    sync_file(file.fileno())
                except BaseException:
                    with suppress(OSError):
                        file.truncate(end)
                    raise
        except OSError as fault:
            raise MaposeError(explain_write_fault(self.path, fault)) from fault
        if is_new:
            _sync_folder(self.path.parent)
        return end + len(line)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[Entry, int]]:
        """Read the entries from a place on, each with the place after it.

        Raises
        ------
        FormatError
            If a line that others follow is damaged.
        """
        if start >= self.size:
            return
        with self.path.open("rb") as file:
            file.seek(start)
            place, damaged = start, ""
            for line in file:
                if stop is not None and place >= stop:
                    return
                if damaged:
                    raise FormatError(
                        f"{self.path}: {damaged}; put back a copy of the file, or move it away: "
                        "then history begins anew with the labels as they are"
                    )
                end = place + len(line)
                entry = _read_entry(line)
                if entry is None:
                    damaged = f"the entry at byte {place} cannot be read"
                else:
                    yield entry, end
                place = end

    def find_last(self) -> Entry | None:
        """Find the last whole entry; None where there is none."""
        place = self._find_start(self.size)
        while place is not None:
            found = self._read_one(place)
            if found is not None:
                return found
            place = self._find_start(place)
        return None

    def find(self, number: int) -> tuple[Entry, int] | None:
        """Find an entry by number, and the place where it begins; None where there is none."""
        return self._bisect(lambda entry: entry.number >= number, number)

    def find_time(self, when: str) -> Entry | None:
        """Find the last entry that is not later than a time; None where there is none."""
        found = self._bisect(lambda entry: entry.when > when, None)
        if found is None:
            return self.find_last()
        before = self.find(found[0].number - 1)
        return None if before is None else before[0]

    def digest_line(self, end: int) -> str:
        """Tell the line that ends at a place from others; empty where none ends there."""
        start = self._find_start(end)
        if start is None or end > self.size:
            return ""
        with self.path.open("rb") as file:
            file.seek(start)
            line = file.read(end - start)
        return hashlib.sha256(line).hexdigest()[:16] if line.endswith(b"\n") else ""

    def _bisect(self, reached: Any, number: int | None) -> tuple[Entry, int] | None:
        """Find the first entry that a test holds for, as it does for all after it."""
        low, high = 0, self.size
        best: tuple[Entry, int] | None = None
        while low < high:
            start = self._find_start((low + high) // 2 + 1)
            entry = None if start is None else self._read_one(start)
            if start is None or entry is None:  # half-written, at the end
                high = start or 0
            elif reached(entry):
                best, high = (entry, start), start
            else:
                low = self._find_end(start)
        return best if best and (number is None or best[0].number == number) else None

    def _read_one(self, start: int) -> Entry | None:
        with self.path.open("rb") as file:
            file.seek(start)
            return _read_entry(file.readline())

    def _find_start(self, place: int) -> int | None:
        """Find where the line begins that holds the byte before a place."""
        if place <= 0:
            return None
        with self.path.open("rb") as file:
            end = place - 1
            while end > 0:
                begin = max(0, end - _PART)
                file.seek(begin)
                found = file.read(end - begin).rfind(b"\n")
                if found >= 0:
                    return begin + found + 1
                end = begin
        return 0

    def _find_end(self, start: int) -> int:
        with self.path.open("rb") as file:
            file.seek(start)
            return start + len(file.readline())


def _read_entry(line: bytes) -> Entry | None:
    """Read a line; None where it is only half there."""
    if not line.endswith(b"\n"):
        return None
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None


def _sync_folder(folder: Path) -> None:
    """Force the name of a new file to the disk, where a system has that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
