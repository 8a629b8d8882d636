"""From maps to candidates to individuals. Only `affinity` and `peaks` take tensors."""

from mapose.decode.affinity import (
    find_repeats,
    find_same,
    pair_peaks,
    read_centres,
    score_centres,
    score_links,
)
from mapose.decode.assembly import assemble
from mapose.decode.edges import propose_edges, select_edges
from mapose.decode.peaks import Candidates, find_peaks

__all__ = [
    "Candidates",
    "assemble",
    "find_peaks",
    "find_repeats",
    "find_same",
    "pair_peaks",
    "propose_edges",
    "read_centres",
    "score_centres",
    "score_links",
    "select_edges",
]
