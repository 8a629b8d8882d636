"""The past of a project's labels: changes made, taken back, and any earlier state restored.

The journal is the truth (`mapose.project.journal`); the tables that people read follow it
(`mapose.project.tables`), and what a person changes in them becomes an entry of the journal. A
snapshot beside the journal only saves time and may be removed.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.files import make_folder, write_atomically
from mapose.io.proposals import rename_waiting
from mapose.locks import is_locked, lock_output
from mapose.project.changes import (
    LabelState,
    Step,
    apply_steps,
    find_steps,
    find_touched,
    invert_steps,
    list_spots,
)
from mapose.project.description import FILE
from mapose.project.journal import Entry, Journal
from mapose.project.tables import Tables
from mapose.reading import explain_damage, load_json

logger = logging.getLogger(__name__)

JOURNAL, _SNAPSHOT = "journal.jsonl", "journal.snapshot.json"
# A snapshot is made after so many entries or bytes: these are read in some hundredths of a second.
_MOST_ENTRIES, _MOST_BYTES = 2000, 1 << 21
# A second of reading, or more.
_SLOW_BYTES = 1 << 23
# Entries that are taken back in one go.
_BLOCK = 5000


class ConflictError(SettingsError):
    """Somebody else has changed the same label since it was looked at."""


class History:
    """The labels of a project with their past.

    One object sees the labels as they were when it last looked: whoever else changes a point
    after that is not overwritten without a word.

    Parameters
    ----------
    folder : Path
        The project folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = folder / "labels"
        self.journal = Journal(self.labels / JOURNAL)
        self.tables = Tables(folder)
        self._state = LabelState()
        self._last: Entry | None = None
        self._end = 0
        self._looked = False
        self._saved: tuple[int, int] | None = None  # number and end of the snapshot
        self._defers = False
        self._owed: set[str] = set()  # videos whose tables are still to be written

    @property
    def number(self) -> int:
        """Number of the last change that this object has seen; 0 = the journal has not begun."""
        return 0 if self._last is None else self._last.number

    @property
    def state(self) -> LabelState:
        """The labels as this object has last seen them; not to be changed."""
        return self._state

    def defer_tables(self) -> None:
        """Let tables follow when `write_tables` is called: a change is in the journal at once.

        Whoever else opens the project writes those that are owed. Changes have to name what they
        have seen (``since``), to hear of what others did meanwhile.
        """
        self._defers = True

    def write_tables(self) -> None:
        """Write the tables of what was changed since they were written last."""
        if not self._owed:
            return
        with explain_damage(self.journal.path), lock_output(self.folder / FILE, wait=True):
            self._catch_up()
            self._settle()
            if self.tables.number != self.number:
                self.tables.write(self._state, self.number, self._owed)
            self._owed = set()

    def look(self) -> None:
        """See the labels as they are now; tables that cannot be read wait for who needs them."""
        self._looked = True
        if self.journal.size:
            self._looked = False
            is_locked(self.folder / FILE)  # a lock that a killed program has left is removed
            try:
                self.read()
            except FormatError as fault:
                logger.info("%s", fault)

    def read(self) -> LabelState:
        """Give the labels as they are now; what was interrupted or done by hand is put in order.

        Where nothing may be written, or no journal has begun, files stay as they are.

        Raises
        ------
        FormatError
            If the journal, or a table that a person has changed, cannot be read.
        """
        with explain_damage(self.journal.path):
            return self._read()

    def _read(self) -> LabelState:
        self._catch_up()
        if self._last is None:
            return self.tables.read()
        by_hand = self._find_by_hand()
        if by_hand is None and not self._is_behind():
            return self._state
        try:
            with lock_output(self.folder / FILE, wait=True):
                self._settle()
            return self._state
        except FormatError:
            raise
        except MaposeError as fault:  # a disk that takes no files
            logger.warning("%s", fault)
            return by_hand or self._state

    def change(
        self,
        what: str | Callable[[LabelState], str],
        make: Callable[[LabelState], list[Step]],
        *,
        since: int | None = None,
    ) -> Entry | None:
        """Make a change, on the disk when this returns.

        Parameters
        ----------
        what : str, or function of LabelState to str
            The change in words.
        make : function of LabelState to list of dict
            Finds the steps from the present state, which it may not touch; no steps, no change.
        since : int, optional
            Number of the last change that whoever asks has seen; by default what this object has.

        Returns
        -------
        Entry or None
            What stands in the journal; None where nothing was to be changed.

        Raises
        ------
        ConflictError
            If one of the same points was changed by others since.
        """

        def find() -> tuple[str, list[Step]]:
            told = what if isinstance(what, str) else what(self._state)
            return told, make(self._state)

        return self._change(find, "change", since)

    def undo(self, *, since: int | None = None) -> Entry:
        """Take back the last change that is not taken back yet.

        Parameters
        ----------
        since : int, optional
            As for `change`.

        Raises
        ------
        SettingsError
            If there is none.
        ConflictError
            If something was changed by others since.
        """
        return self._take_back("undo", since)

    def redo(self, *, since: int | None = None) -> Entry:
        """Make the change again that was taken back last.

        Parameters
        ----------
        since : int, optional
            As for `change`.

        Raises
        ------
        SettingsError
            If there is none, or something was changed since.
        """
        return self._take_back("redo", since)

    def restore(self, at: int | str) -> Entry | None:
        """Bring back the labels as they were after an entry, or at a time.

        Parameters
        ----------
        at : int or str
            Number of an entry, or a time in UTC such as ``2026-11-29T12:00``.

        Returns
        -------
        Entry or None
            A change like any other, which can be taken back; None where all is like that already.
        """

        def find() -> tuple[str, list[Step]]:
            number = self.find_number(at)
            return f"restored to {number}", find_steps(self._state, self._rewind(number))

        return self._change(find, "change", None)

    def find_number(self, at: int | str) -> int:
        """Find the number of the entry that is meant by a number or a time.

        Raises
        ------
        SettingsError
            If there is none.
        """
        text = str(at).strip()
        if text.isdigit():
            if 1 <= int(text) <= self.number:
                return int(text)
            raise SettingsError(
                f"restore: wanted a change from 1 to {self.number}, came {text}; `mapose history` "
                "lists them"
            )
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise SettingsError(
                f"restore: wanted the number of a change or a time such as 2026-11-29T12:00, came "
                f"{text!r}"
            ) from None
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        found = self.journal.find_time(_write_time(time))
        if found is None:
            raise SettingsError(f"restore: the journal begins after {text}")
        return found.number

    def get_state(self, number: int) -> LabelState:
        """Give the labels as they were after an entry; 0 = before the first one."""
        self._catch_up()
        return self._rewind(number)

    def list_entries(self, last: int | None = None) -> list[Entry]:
        """List the entries, oldest first; the last ones, or all."""
        self._catch_up()
        if last == 1 and self._last is not None:
            return [self._last]
        if last is None or last >= self.number:
            return [entry for entry, _ in self.journal.read()]
        found = self.journal.find(self.number - last + 1)
        return [entry for entry, _ in self.journal.read(found[1])] if found and last > 0 else []

    def _change(
        self, find: Callable[[], tuple[str, list[Step]]], kind: str, since: int | None
    ) -> Entry | None:
        make_folder(self.labels)
        with lock_output(self.folder / FILE, wait=True):
            seen = since if since is not None else self.number if self._looked else None
            foreign = self._catch_up() | self._settle()
            if since is not None:
                foreign = self._list_changed(since)
            if self._last is None:
                self._begin()
            elif kind != "change" and seen not in (None, 0, self.number):
                raise ConflictError(
                    f"changes {seen + 1} to {self.number} were made by others since this project "
                    f"was looked at, the last by {self._last.who or 'another'} "
                    f"({self._last.what}): look at them, then {kind} again"
                )
            what, steps = find()
            if kind == "change":
                _check_conflicts(steps, foreign)
            entry = self._append(what, steps, kind) if steps else None
            if entry is not None:
                self._rename_waiting(entry)
                self._show(find_touched(steps))
                self._save_snapshot()
            return entry

    def _show(self, touched: set[str] | None) -> None:
        """Write the tables of videos that were changed, None = all, or remember to do so."""
        if self._defers and touched is not None:
            self._owed |= touched
        else:
            owed = None if touched is None else touched | self._owed
            self.tables.write(self._state, self.number, owed)
            self._owed = set()

    def _is_behind(self) -> bool:
        """Tell whether tables lack what a killed program did not come to write."""
        return not self._owed and self.tables.number != self.number

    def _list_changed(self, since: int) -> dict[Any, tuple[Any, Entry]]:
        """List the points that were changed after an entry."""
        found = self.journal.find(since + 1) if since < self.number else None
        if found is None:
            return {}
        changed: dict[Any, tuple[Any, Entry]] = {}
        for entry, _ in self.journal.read(found[1]):
            changed |= _note_spots(entry) if entry.number > max(since, 1) else {}
        return changed

    def _take_back(self, kind: str, since: int | None) -> Entry:
        def find() -> tuple[str, list[Step]]:
            number = 0 if self._last is None else getattr(self._last, kind)
            found = self.journal.find(number) if number else None
            if found is None:
                raise SettingsError(f"nothing to {kind}")
            back = found[0].what.removeprefix("undo: ").removeprefix("redo: ")
            return f"{kind}: {back}", invert_steps(found[0].steps)

        entry = self._change(find, kind, since)
        assert entry is not None
        return entry

    def _begin(self) -> None:
        """Begin the journal with the labels that are there."""
        state = self.tables.read()
        self._append("the history begins", find_steps(LabelState(), state), "begin")
        self.tables.write(state, self.number, None)

    def _find_by_hand(self) -> LabelState | None:
        return self.tables.find_by_hand(self._state, self.number, self._rewind)

    def _settle(self) -> dict[Any, tuple[Any, Entry]]:
        """Take up what was done by hand, and write what a killed program did not come to write."""
        if self._last is None:
            return {}
        by_hand = self._find_by_hand()
        steps = [] if by_hand is None else find_steps(self._state, by_hand)
        entry = self._append("edited by hand", steps, "change") if steps else None
        if by_hand is not None or self._is_behind():
            self._finish_renaming()
            self.tables.write(self._state, self.number, None)
            self._owed = set()
        return {} if entry is None else _note_spots(entry)

    def _finish_renaming(self) -> None:
        """Rename what waits where a killed program did not come to it."""
        shown = self.tables.number
        found = None if shown is None else self.journal.find(shown + 1)
        for entry, _ in self.journal.read(found[1]) if found else ():
            self._rename_waiting(entry)

    def _rename_waiting(self, entry: Entry) -> None:
        """Let what waits to be labelled follow the names of keypoints."""
        for step in entry.steps:
            kind, *names = step.get("rename", ("",))
            if kind == "keypoint":
                try:
                    rename_waiting(self.labels, *names)
                except FormatError as fault:  # which is told again to whoever reads it
                    logger.warning("%s", fault)

    def _append(self, what: str, steps: list[Step], kind: str) -> Entry:
        last, number = self._last, self.number + 1
        undo, redo, below = number, 0, 0 if last is None else last.undo
        if last is None:
            undo = 0
        elif kind != "change":
            number_back = getattr(last, kind)
            found = self.journal.find(number_back)
            assert found is not None
            undo, redo = (found[0].below, number) if kind == "undo" else (number, found[0].below)
            below = last.redo if kind == "undo" else last.undo
        when = _write_time(datetime.now(UTC))
        entry = Entry(number, when, _find_user(), what, steps, undo, redo, below)
        try:
            apply_steps(self._state, steps)
            self._end = self.journal.append(entry, self._end)
        except BaseException:
            self._forget()
            raise
        self._last = entry
        return entry

    def _forget(self) -> None:
        self._state, self._last, self._end, self._saved = LabelState(), None, 0, None
        self._owed = set()

    def _catch_up(self) -> dict[Any, tuple[Any, Entry]]:
        """Read what others have added since; list the points that they have changed."""
        size = self.journal.size
        if size < self._end:  # another journal was put in its place
            self._forget()
        knew = self._looked
        if self._last is None and size:
            self._load_snapshot()
            if size - self._end > _SLOW_BYTES:
                logger.warning(
                    "reading %d MB of history, as there is no snapshot: some seconds", size >> 20
                )
        foreign: dict[Any, tuple[Any, Entry]] = {}
        for entry, end in self.journal.read(self._end):
            try:
                with explain_damage(f"{self.journal.path}, entry {entry.number}"):
                    apply_steps(self._state, entry.steps)
            except FormatError:
                self._forget()
                raise
            self._last, self._end = entry, end
            if knew and entry.number > 1:  # what the journal began with was there before
                foreign |= _note_spots(entry)
        self._looked = True
        return foreign

    def _rewind(self, number: int) -> LabelState:
        """Give the state after an entry: from the start, or back from now, whichever is nearer."""
        if number < self.number / 2:
            state = LabelState()
            for entry, _ in self.journal.read():
                if entry.number > number:
                    break
                apply_steps(state, entry.steps)
            return state
        state, stop = self._state.copy(), self._end
        for above in range(self.number, number, -_BLOCK):
            found = self.journal.find(max(above - _BLOCK, number) + 1)
            assert found is not None
            for entry in reversed([entry for entry, _ in self.journal.read(found[1], stop)]):
                apply_steps(state, invert_steps(entry.steps))
            stop = found[1]
        return state

    def _save_snapshot(self) -> None:
        """Save the state from time to time, so that a long journal need not be read."""
        file = self.labels / _SNAPSHOT
        if self._saved is None:
            found = _read_snapshot(file)
            self._saved = (found.get("number", 0), found.get("end", 0))
        number, end = self._saved
        if self.number - number < _MOST_ENTRIES and self._end - end < _MOST_BYTES:
            return
        assert self._last is not None
        snapshot = {
            "number": self.number,
            "end": self._end,
            "last": self.journal.digest_line(self._end),
            "state": self._state.to_plain(),
        }
        with write_atomically(file) as temporary:
            temporary.write_text(json.dumps(snapshot, ensure_ascii=False), encoding="utf-8")
        self._saved = self.number, self._end

    def _load_snapshot(self) -> None:
        """Begin with the snapshot, if it is one of this journal."""
        found = _read_snapshot(self.labels / _SNAPSHOT)
        if not found or self.journal.digest_line(found["end"]) != found["last"]:
            return
        entry = self.journal.find(found["number"])
        if entry is not None:
            try:
                with explain_damage(self.labels / _SNAPSHOT):
                    self._state = LabelState.from_plain(found["state"])
            except FormatError:  # the journal has it all
                return
            self._last, self._end = entry[0], found["end"]
            self._saved = entry[0].number, self._end


def _read_snapshot(file: Path) -> dict[str, Any]:
    with suppress(MaposeError, OSError):
        found = load_json(file)
        if isinstance(found, dict) and {"number", "end", "last", "state"} <= found.keys():
            return found
    return {}


def _note_spots(entry: Entry) -> dict[Any, tuple[Any, Entry]]:
    return {spot: (after, entry) for spot, after in list_spots(entry.steps).items()}


def _check_conflicts(steps: list[Step], foreign: dict[Any, tuple[Any, Entry]]) -> None:
    """Refuse to overwrite what another program has said since this one last looked."""
    found = []
    for spot, after in list_spots(steps).items():
        theirs, entry = foreign.get(spot, (after, None))
        if entry is not None and (theirs and list(theirs)) != (after and list(after)):
            found.append((spot, theirs, entry))
    if not found:
        return
    (video, image, individual, keypoint), theirs, entry = found[0]
    place = "removed" if theirs is None else f"put at {theirs[0]}, {theirs[1]} ({theirs[2]})"
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    raise ConflictError(
        f"{keypoint} of {individual} in {image} of {video} was {place} by {entry.who or 'another'} "
        f"at {entry.when} (change {entry.number}{more}), after these labels were looked at: look "
        "at it, then make the change again"
    )


def _write_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _find_user() -> str:
    """Find the name of the account; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return os.environ.get("USERNAME", "")
