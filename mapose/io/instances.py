"""From a list of instances, each in some frame and perhaps with a track, to columns of an array."""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mapose.arrays import Ints, Singles
from mapose.errors import FormatError

log = logging.getLogger(__name__)

#: Values of an array that may be all empty, 256 MB.
MOST_EMPTY = 1 << 26


def count_in_frame(rows: npt.ArrayLike) -> Ints:
    """Count for each instance how many before it share its frame.

    Examples
    --------
    >>> count_in_frame([0, 0, 1, 0]).tolist()
    [0, 1, 0, 2]
    """
    rows = np.asarray(rows, np.int64)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, np.diff(ordered) > 0]) if len(rows) else rows
    lengths = np.diff(np.r_[starts, len(rows)])
    counts = np.empty(len(rows), np.int64)
    counts[order] = np.arange(len(rows)) - np.repeat(starts, lengths)
    return counts


def name_columns(
    rows: Ints, tracks: Sequence[str | None], *, order: Sequence[str] = ()
) -> tuple[Ints, list[str]]:
    """Give every track a column of its own, and instances without one further columns.

    Of several instances of a track in one frame the first has its column; the others count as
    without one, which is told.

    Parameters
    ----------
    rows : int64, (N,)
        Frame row of each instance.
    tracks : sequence of str or None, (N,)
        Track of each instance.
    order : sequence of str
        Tracks that come first, in this order; the others come as they appear.

    Returns
    -------
    columns : int64, (N,)
        Column of each instance.
    names : list of str
        Track names, then ``untracked0, ...``; ``slot0, ...`` where no
        instance has a track.
    """
    used = dict.fromkeys(t for t in tracks if t is not None)
    names = list(dict.fromkeys([*(t for t in order if t in used), *used]))
    place = {name: i for i, name in enumerate(names)}
    columns = np.array([-1 if t is None else place[t] for t in tracks], np.int64)
    pairs = rows * (len(names) + 1) + columns
    again = (columns >= 0) & (count_in_frame(pairs) > 0)
    if again.any():
        log.warning(
            "%d times an individual comes twice in a frame, first %s; the second one is kept as "
            "one without a name",
            again.sum(), names[columns[again][0]],
        )  # fmt: skip
        columns[again] = -1
    loose = columns < 0
    if loose.any():
        word = "untracked" if names else "slot"
        columns[loose] = len(names) + count_in_frame(rows[loose])
        free = (name for i in itertools.count() if (name := f"{word}{i}") not in place)
        names += itertools.islice(free, int(columns.max()) + 1 - len(names))
    return columns, names


def assign_columns(
    rows: Ints,
    tracks: Sequence[str | None],
    videos: Sequence[str],
    *,
    order: Sequence[str] = (),
) -> tuple[Ints, list[str], bool]:
    """Choose a column for each instance of a label set.

    Tracks are taken for animals where a video has no more of them than animals at once: more
    are the fragments of a tracker. Then a column is the same animal in all frames of a video,
    under the track's name if all videos share the names. Else columns are slots.

    Parameters
    ----------
    rows : int64, (N,)
        Frame row of each instance.
    tracks : sequence of str or None, (N,)
        Track of each instance.
    videos : sequence of str, (F,)
        Video of each frame row.
    order : sequence of str
        Tracks that come first, in this order.

    Returns
    -------
    columns : int64, (N,)
    names : list of str
    identified : bool
        Whether columns are animals.
    """
    slots = count_in_frame(rows)
    n_slots = int(slots.max()) + 1 if len(rows) else 1
    unnamed = [f"animal{i}" for i in range(n_slots)]
    if n_slots == 1 and len(set(tracks)) <= 1:
        return slots, [tracks[0] or "animal0"] if len(tracks) else unnamed, True
    if None in tracks or len({*zip(rows.tolist(), tracks, strict=True)}) < len(rows):
        return slots, unnamed, n_slots == 1
    members: dict[str, dict[str | None, int]] = {}
    for row, track in zip(rows, tracks, strict=True):
        known = members.setdefault(videos[row], {})
        known.setdefault(track, len(known))
    most = dict.fromkeys(members, 0)
    for row, slot in zip(rows, slots, strict=True):
        most[videos[row]] = max(most[videos[row]], int(slot) + 1)
    if any(len(known) > most[v] for v, known in members.items()):
        return slots, unnamed, n_slots == 1
    columns, names = name_columns(rows, tracks, order=order)
    if len(names) > n_slots:
        pairs = zip(rows, tracks, strict=True)
        return np.array([members[videos[r]][t] for r, t in pairs], np.int64), unnamed, True
    return columns, names, True


def name_by_kind(rows: Ints, kinds: Sequence[str]) -> list[str | None]:
    """Take the kinds of instances for the names of animals, where no frame has two of a kind.

    People who tell their animals apart give each a class, label or category of its own.

    Parameters
    ----------
    rows : int64, (N,)
        Frame row of each instance.
    kinds : sequence of str, (N,)

    Returns
    -------
    list of str or None, (N,)
        All None where there is one kind only, or two of a kind are in one frame.

    Examples
    --------
    >>> name_by_kind(np.array([0, 0, 1]), ["ann", "bob", "bob"])
    ['ann', 'bob', 'bob']
    >>> name_by_kind(np.array([0, 0, 1]), ["mouse", "mouse", "rat"])
    [None, None, None]
    """
    pairs = set(zip(rows.tolist(), kinds, strict=True))
    if len(set(kinds)) < 2 or len(pairs) < len(kinds):
        return [None] * len(kinds)
    return list(kinds)


def check_room(shape: tuple[int, ...], given: int, *, what: object = "the file") -> None:
    """Refuse to make an array that would be empty but for a few values.

    Parameters
    ----------
    shape : tuple of int
        Of the array to make.
    given : int
        Values that will be put into it.
    what : object
        Where they come from, for the message.

    Raises
    ------
    FormatError
        If it had room for more than `MOST_EMPTY` values, and for a thousand times those given: a
        frame number or a name is damaged.
    """
    if math.prod(shape) > max(MOST_EMPTY, 1000 * given):
        raise FormatError(
            f"{what}: its {given} values would lie in an array of {' x '.join(map(str, shape))}; "
            "a frame number or a name must be damaged"
        )


def fill_array(values: npt.ArrayLike, rows: Ints, columns: Ints, shape: tuple[int, int]) -> Singles:
    """Put instances into an array of frames and individuals.

    Parameters
    ----------
    values : float, (N, K, c)
        One entry per instance; where two meet, the later one stays.
    rows, columns : int64, (N,)
        Where to.
    shape : tuple of int
        Frames and individuals.

    Returns
    -------
    float32, (F, I, K, c)
        NaN where no instance is.
    """
    values = np.asarray(values, np.float32)
    check_room((*shape, *values.shape[1:]), values.size)
    array = np.full((*shape, *values.shape[1:]), np.nan, np.float32)
    array[rows, columns] = values
    return array


def unname_slots(names: Sequence[Any]) -> list[str] | None:
    """Turn the names that `Poses.names` makes up for slots back into None."""
    made_up = all(re.fullmatch(r"slot\d+", str(name)) for name in names)
    return None if made_up else [str(name) for name in names]
