"""What a person said about names and points, kept as text, applied on reading.

An edit says that the animal which was *here* before a moment is the one which is *there* after it.
Both places are kept with their frames, and nothing else counts: rows and names may come out
differently when a recording is tracked again, and where the tracker has got the moment right by
then, the edit changes nothing. Names stay exchanged from the edit's frame to the end of the
recording, or to a later edit about one of the two, which goes on saying what it said: encounters
can be settled in any order. Only two swaps within one encounter need care; made last to first,
the later one has to be made once more.

Tracks are joined and split in the same way, by places. Points that were moved or deleted are those
of the animal that is found at its place in that frame, whoever tracked it.
"""

from mapose.edits.applying import apply_edits, apply_settlement, settle_names
from mapose.edits.certainty import rate_names
from mapose.edits.journal import find_edits_path, load_edits, save_edits, write_line
from mapose.edits.moments import (
    edit_individual,
    join_tracks,
    make_edit,
    name_individual,
    split_track,
)
from mapose.edits.points import edit_points, find_edited
from mapose.edits.records import KINDS, Edit, Sighting
from mapose.edits.settlement import Settlement, find_empty

__all__ = [
    "KINDS",
    "Edit",
    "Settlement",
    "Sighting",
    "apply_edits",
    "apply_settlement",
    "edit_individual",
    "edit_points",
    "find_edited",
    "find_edits_path",
    "find_empty",
    "join_tracks",
    "load_edits",
    "make_edit",
    "name_individual",
    "rate_names",
    "save_edits",
    "settle_names",
    "split_track",
    "write_line",
]
