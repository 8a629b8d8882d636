"""Pieces of tracks joined into individuals."""

import numpy as np
import pytest

from mapose.multiview.joining import Pieces, join_pieces


def make_pieces(*rows, views=2):
    """Make pieces from (first, last, weight, start, end[, 2D tracks]); places along one line."""
    first, last, weight, start, end = (np.array([r[i] for r in rows]) for i in range(5))
    tracks = np.array([r[5] if len(r) > 5 else [-1] * views for r in rows])
    place = [np.stack([x, 0 * x, 0 * x], -1).astype(float) for x in (start, end)]
    return Pieces(first, last, weight.astype(float), *place, tracks, tracks)


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
