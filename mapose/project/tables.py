"""What people and git see of a project's labels: ``labels.csv`` of each video, and the skeleton.

Tables are written after the journal. A record of how they were last written tells a table that a
person has changed from one that a killed program did not come to write.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mapose.errors import FormatError, MaposeError
from mapose.files import write_atomically
from mapose.io.labels import FILE as TABLE
from mapose.io.labels import list_files, load_labels, save_labels
from mapose.project.changes import LabelState
from mapose.project.description import FILE, Description, load_description, save_description
from mapose.reading import load_json

logger = logging.getLogger(__name__)

_RECORD = "journal.tables.json"


class Tables:
    """The tables of a project, and the skeleton and animals in its ``mapose.yaml``.

    Parameters
    ----------
    folder : Path
        The project folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = folder / "labels"
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._description: tuple[str, Description] | None = None
        # Digest of each table when it was last looked at.
        self._seen: dict[str, str] = {}

    @property
    def number(self) -> int | None:
        """Number of the entry after which they were last written; None = not known."""
        number = self._read_record().get("number")
        return number if isinstance(number, int) else None

    def read(self) -> LabelState:
        """Read the labels as they stand in the files."""
        self._seen = self._list_digests()
        description = self._describe()
        state = LabelState(description.skeleton.to_dict(), description.individuals)
        if self._seen:
            state.add_labels(load_labels(self.labels, description.skeleton))
        return state

    def find_by_hand(
        self, state: LabelState, number: int, rewind: Callable[[int], LabelState]
    ) -> LabelState | None:
        """Give the state with what a person has changed in the files; None where nobody has.

        Parameters
        ----------
        state : LabelState
            The last one of the journal.
        number : int
            Its number.
        rewind : function of int to LabelState
            Gives earlier ones.

        Raises
        ------
        FormatError
            If a table that was changed cannot be read.
        """
        record = self._read_record()
        if record.get("number", 0) > number:
            # The journal has lost its end, or is an older one: the tables have more than it.
            logger.warning(
                "the journal in %s ends at change %d, but %d were made: labels are taken as the "
                "tables have them", self.labels, number, record["number"],
            )  # fmt: skip
            record = {}
        known, self._seen = record.get("files", {}), self._list_digests()
        odd = {v for v, digest in self._seen.items() if digest != known.get(v)}
        odd = {v for v in odd if not self._is_shown(v, state)} | (known.keys() - self._seen.keys())
        description = self._describe()
        said = _digest_plan(description.skeleton.to_dict(), description.individuals)
        is_other = said not in (
            record.get("description"), _digest_plan(state.skeleton, state.individuals)
        )  # fmt: skip
        if not odd and not is_other:
            return None
        written = record.get("number", number)
        base = state if written >= number else rewind(written)
        hand = base.copy()
        if is_other:
            hand.skeleton = description.skeleton.to_dict()
            hand.individuals = description.individuals
        for frame in [f for f in hand.frames if f[0] in odd]:
            del hand.frames[frame]
            hand.marks.pop(frame, None)
        _check_keypoints(hand, self.folder)
        there = odd & self._seen.keys()
        if there:
            hand.add_labels(load_labels(self.labels, hand.make_skeleton(), videos=there))
        return hand if base is state else _overlay(state, base, hand)

    def write(self, state: LabelState, number: int, videos: Iterable[str] | None) -> None:
        """Write tables and skeleton as a state has them; whoever calls this holds the lock.

        A table that a person has changed since it was last looked at stays, to be taken up by
        whoever looks next.

        Parameters
        ----------
        state : LabelState
        number : int
            Of its entry.
        videos : iterable of str, optional
            Those whose tables look otherwise than before; by default all are written.
        """
        there, files = set(state.list_videos()), dict(self._seen)
        for video in sorted((there | files.keys()) if videos is None else videos):
            table = self.labels / video / TABLE
            if table.exists() and self._digest(table) != self._seen.get(video):
                return
            if video in there:
                save_labels(state.to_labels(self.labels, [video]), self.labels)
                files[video] = self._digest(table)
            else:  # its last frame was removed; pictures stay
                table.unlink(missing_ok=True)
                files.pop(video, None)
        description = self._describe()
        plan = {"landmarks": [], **state.skeleton, "individuals": state.individuals}
        shown = description.model_copy(update=plan)
        if shown != description:
            save_description(shown, self.folder)
        record = {
            "number": number,
            "description": _digest_plan(state.skeleton, state.individuals),
            "files": files,
        }
        with write_atomically(self.labels / _RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
        self._seen = files

    def _is_shown(self, video: str, state: LabelState) -> bool:
        """Tell whether the table of a video says what the state says."""
        shown = LabelState(columns=list(state.columns))
        try:
            skeleton = state.make_skeleton()
            shown.add_labels(load_labels(self.labels, skeleton, videos=[video]))
        except FormatError:
            return False
        frames = {frame: n for frame, n in state.frames.items() if frame[0] == video}
        marks = {frame: spots for frame, spots in state.marks.items() if frame[0] == video}
        return (shown.frames, shown.marks, shown.columns) == (frames, marks, state.columns)

    def _read_record(self) -> dict[str, Any]:
        with suppress(MaposeError, OSError):
            found = load_json(self.labels / _RECORD)
            if isinstance(found, dict):
                return found
        return {}

    def _describe(self) -> Description:
        """Read ``mapose.yaml``, again only if it is another than before."""
        file = self.folder / FILE
        digest = self._digest(file) if file.is_file() else ""
        if self._description is None or self._description[0] != digest:
            self._description = digest, load_description(self.folder)
        return self._description[1]

    def _list_digests(self) -> dict[str, str]:
        return {file.parent.name: self._digest(file) for file in list_files(self.labels)}

    def _digest(self, file: Path) -> str:
        """Tell the content of a file from others; one that is not touched is not read again."""
        stat = file.stat()
        key = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._digests.get(file, (None, ""))[0] != key:
            self._digests[file] = key, hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        return self._digests[file][1]


def _digest_plan(skeleton: dict[str, Any], individuals: int | list[str]) -> str:
    """Tell skeleton and animals from others."""
    return hashlib.sha256(json.dumps([skeleton, individuals]).encode()).hexdigest()[:16]


def _check_keypoints(state: LabelState, folder: Path) -> None:
    """Refuse a skeleton, changed by hand, that lacks keypoints which labels have."""
    known = set(state.skeleton["keypoints"])
    used = {spot[1] for spots in state.marks.values() for spot in spots}
    lost = sorted(used - known)
    if lost:
        raise FormatError(
            f"{folder / FILE} has no keypoint {lost[0]!r}, but labels have: put it back there, and "
            f"rename or remove it with `mapose skeleton {folder}`, which changes labels as well"
        )


def _overlay(state: LabelState, base: LabelState, hand: LabelState) -> LabelState:
    """Put what differs between two states onto a third one; what is there differently gives way."""
    target = state.copy()
    if hand.skeleton != base.skeleton:
        target.skeleton = hand.skeleton
    if hand.individuals != base.individuals:
        target.individuals = hand.individuals
    target.columns += [name for name in hand.columns if name not in target.columns]
    target.frames.update({f: n for f, n in hand.frames.items() if base.frames.get(f) != n})
    for frame in base.frames.keys() - hand.frames.keys():
        target.frames.pop(frame, None)
        target.marks.pop(frame, None)
    for frame in target.frames:
        before, after = base.marks.get(frame, {}), hand.marks.get(frame, {})
        for spot in before.keys() | after.keys():
            if before.get(spot) != after.get(spot):
                spots = target.marks.setdefault(frame, {})
                spots.pop(spot, None)
                if spot in after:
                    spots[spot] = after[spot]
        if not target.marks.get(frame, True):
            del target.marks[frame]
    return target
