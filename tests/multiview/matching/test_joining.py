"""Pieces of tracks joined into individuals."""

import numpy as np
import pytest

from mapose.multiview.matching.following import Run
from mapose.multiview.matching.joining import (
    Ends,
    Pieces,
    join_pieces,
    label_lone_chains,
    measure_pieces,
)
from mapose.multiview.matching.tracklets2d import Tracks2D


def make_pieces(*rows, views=2):
    """Make pieces from (first, last, weight, start, end[, 2D tracks]); places along one line."""
    first, last, weight, start, end = (np.array([r[i] for r in rows]) for i in range(5))
    tracks = np.array([r[5] if len(r) > 5 else [-1] * views for r in rows])
    nowhere = np.full((len(rows), views), -1), np.full((len(rows), views, 2), np.nan)
    ends = [
        Ends(frame, np.stack([x, 0 * x, 0 * x], -1).astype(float), tracks, *nowhere)
        for frame, x in ((first, start), (last, end))
    ]
    return Pieces(*ends, weight.astype(float))


def test_pieces_go_on_where_they_ended():
    pieces = make_pieces(
        (0, 50, 50, 0, 0), (0, 60, 60, 900, 900), (70, 99, 30, 890, 880), (55, 99, 45, 10, 0)
    )
    owner, doubt = join_pieces(pieces, individuals=None, min_frames=10, length=100)
    assert owner.tolist() == [0, 1, 1, 0] or owner.tolist() == [1, 0, 0, 1]
    assert (doubt < 0.1).all()


def test_false_alarms_are_nobody():
    pieces = make_pieces((0, 99, 99, 0, 0), (20, 22, 3, 500, 500))
    assert join_pieces(pieces, individuals=None, min_frames=10, length=100)[0].tolist() == [0, -1]
    # A known number of animals leaves the lightest out.
    pieces = make_pieces((0, 99, 99, 0, 0), (0, 99, 50, 400, 400), (0, 99, 90, 800, 800))
    assert join_pieces(pieces, individuals=2, min_frames=10, length=100)[0].tolist() == [0, -1, 1]


def test_known_number_joins_over_any_distance():
    pieces = make_pieces((0, 40, 40, 0, 0), (60, 99, 40, 2000, 2000))
    alone, _ = join_pieces(pieces, individuals=1, min_frames=10, length=100)
    assert alone.tolist() == [0, 0]


def test_2d_tracks_decide_where_places_do_not():
    one, other = [0, 1], [1, 0]
    pieces = make_pieces(
        (0, 40, 40, 0, 0, one),
        (0, 40, 40, 60, 60, other),
        (50, 99, 50, 60, 60, one),
        (50, 99, 50, 0, 0, other),
    )
    owner, _ = join_pieces(pieces, individuals=2, min_frames=10, length=100)
    assert owner[0] == owner[2] and owner[1] == owner[3] and owner[0] != owner[1]


def test_join_beside_the_old_piece_is_doubtful():
    pieces = make_pieces((0, 60, 60, 0, 0), (50, 99, 50, 0, 0))
    owner, doubt = join_pieces(pieces, individuals=1, min_frames=10, length=100)
    assert owner.tolist() == [0, 0] and doubt.tolist() == pytest.approx([0, 0.25])


def test_images_tell_where_only_one_camera_looked():
    """Three pieces of one camera: two follow each other in its image, the third is elsewhere."""
    pieces = make_pieces((0, 40, 20, 0, 0), (45, 99, 20, 0, 0), (45, 99, 20, 0, 0))
    for ends in (pieces.start, pieces.end):
        ends.centre[:] = np.nan
        ends.seen[:, 0] = ends.frame
        ends.place[:, 0] = [[0, 0], [0.5, 0], [9, 0]]
    owner, doubt = join_pieces(pieces, individuals=None, min_frames=10, length=100)
    assert owner[0] == owner[1] != owner[2]
    assert 0 < doubt[1] < 0.2


def test_track_that_turned_out_to_be_another_one_is_an_empty_piece():
    """The last track has lost all its detections to the first one: nothing of it is left."""
    frames, none = np.arange(4), np.empty((0, 2), np.int64)
    labels = np.zeros((4, 2, 1), np.int64)
    chains = np.broadcast_to([[[0], [1]]], (4, 2, 1)).copy()
    run = Run(
        tracks=labels,
        certainty=np.ones(labels.shape, np.float32),
        mirrored=np.zeros((*labels.shape, 0), bool),
        frame=np.array([0, 1, 2, 3, 3]),
        track=np.array([0, 0, 0, 0, 1]),
        centres=np.zeros((5, 3)),
        hazard=np.zeros(5),
        mergers=none,
        moves=none,
    )
    places = np.zeros((*labels.shape, 2), np.float32)
    tracks = Tracks2D(frames, chains, places, np.array([False, False]))
    label_lone_chains(labels, tracks, start=2, min_frames=2)
    pieces = measure_pieces(labels, run, tracks, n_tracks=2)
    assert pieces.weight.tolist() == [4, 0]
    assert pieces.start.frame[0] == 0 and pieces.end.frame[0] == 3
    owner, _ = join_pieces(pieces, individuals=None, min_frames=2, length=1)
    assert owner.tolist() == [0, -1]
