"""Tracklets joined into individuals."""

import numpy as np
import pytest

from mapose.multiview.matching.following import Run, join_runs
from mapose.multiview.matching.individuals import revise
from mapose.multiview.matching.joining import (
    Ends,
    Tracklets,
    join_tracklets,
    label_lone_tracklets,
    measure_tracklets,
)
from mapose.multiview.matching.tracklets2d import Tracks2D
from mapose.shelf import Shelf


def make_tracklets(*rows, views=2):
    """Make tracklets from (first, last, weight, start, end[, 2D tracks]); places along one line."""
    first, last, weight, start, end = (np.array([r[i] for r in rows]) for i in range(5))
    tracks = np.array([r[5] if len(r) > 5 else [-1] * views for r in rows])
    nowhere = np.full((len(rows), views), -1), np.full((len(rows), views, 2), np.nan)
    ends = [
        Ends(frame, np.stack([x, 0 * x, 0 * x], -1).astype(float), tracks, *nowhere)
        for frame, x in ((first, start), (last, end))
    ]
    return Tracklets(*ends, weight.astype(float))


def test_pieces_go_on_where_they_ended():
    tracklets = make_tracklets(
        (0, 50, 50, 0, 0), (0, 60, 60, 900, 900), (70, 99, 30, 890, 880), (55, 99, 45, 10, 0)
    )
    individual, doubt = join_tracklets(tracklets, individuals=None, min_frames=10, length=100)
    assert individual.tolist() == [0, 1, 1, 0] or individual.tolist() == [1, 0, 0, 1]
    assert (doubt < 0.1).all()


def test_false_alarms_are_nobody():
    tracklets = make_tracklets((0, 99, 99, 0, 0), (20, 22, 3, 500, 500))
    assert join_tracklets(tracklets, individuals=None, min_frames=10, length=100)[0].tolist() == [
        0,
        -1,
    ]
    # A known number of animals leaves the lightest out.
    tracklets = make_tracklets((0, 99, 99, 0, 0), (0, 99, 50, 400, 400), (0, 99, 90, 800, 800))
    assert join_tracklets(tracklets, individuals=2, min_frames=10, length=100)[0].tolist() == [
        0,
        -1,
        1,
    ]


def test_known_number_joins_over_any_distance():
    tracklets = make_tracklets((0, 40, 40, 0, 0), (60, 99, 40, 2000, 2000))
    alone, _ = join_tracklets(tracklets, individuals=1, min_frames=10, length=100)
    assert alone.tolist() == [0, 0]


def test_2d_tracks_decide_where_places_do_not():
    one, other = [0, 1], [1, 0]
    tracklets = make_tracklets(
        (0, 40, 40, 0, 0, one),
        (0, 40, 40, 60, 60, other),
        (50, 99, 50, 60, 60, one),
        (50, 99, 50, 0, 0, other),
    )
    individual, _ = join_tracklets(tracklets, individuals=2, min_frames=10, length=100)
    assert (
        individual[0] == individual[2]
        and individual[1] == individual[3]
        and individual[0] != individual[1]
    )


def test_join_beside_the_old_piece_is_doubtful():
    tracklets = make_tracklets((0, 60, 60, 0, 0), (50, 99, 50, 0, 0))
    individual, doubt = join_tracklets(tracklets, individuals=1, min_frames=10, length=100)
    assert individual.tolist() == [0, 0] and doubt.tolist() == pytest.approx([0, 0.25])


def test_images_tell_where_only_one_camera_looked():
    """Three tracklets of one camera: two follow each other in its image, the third is elsewhere."""
    tracklets = make_tracklets((0, 40, 20, 0, 0), (45, 99, 20, 0, 0), (45, 99, 20, 0, 0))
    for ends in (tracklets.start, tracklets.end):
        ends.centre[:] = np.nan
        ends.seen[:, 0] = ends.frame
        ends.place[:, 0] = [[0, 0], [0.5, 0], [9, 0]]
    individual, doubt = join_tracklets(tracklets, individuals=None, min_frames=10, length=100)
    assert individual[0] == individual[1] != individual[2]
    assert 0 < doubt[1] < 0.2


def test_track_that_turned_out_to_be_another_one_is_an_empty_piece():
    """The last track has lost all its detections to the first one: nothing of it is left."""
    frames, none = np.arange(4), np.empty((0, 2), np.int64)
    labels = np.zeros((4, 2, 1), np.int64)
    tracklets2d = np.broadcast_to([[[0], [1]]], (4, 2, 1)).copy()
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
    tracks = Tracks2D(frames, tracklets2d, 2, places, np.array([False, False]))
    label_lone_tracklets(labels, tracks, start=2, min_frames=2)
    tracklets = measure_tracklets(labels, run, tracks, n_tracks=2)
    assert tracklets.weight.tolist() == [4, 0]
    assert tracklets.start.frame[0] == 0 and tracklets.end.frame[0] == 3
    individual, _ = join_tracklets(tracklets, individuals=None, min_frames=2, length=1)
    assert individual.tolist() == [0, -1]


@pytest.mark.parametrize("seed", range(4))
def test_second_thoughts_reach_back_through_all_blocks(monkeypatch, seed):
    """Compared with what they say, done on the whole recording at once."""
    monkeypatch.setattr("mapose.shelf._BLOCK", 16 * 6 * 4)  # blocks of four frames
    rng = np.random.default_rng(seed)
    tracks = rng.choice([-1, 0, 2, 3], (30, 2, 3)).astype(np.int32)
    for start, track in ((0, 4), (10, 5), (20, 1)):  # never side by side
        tracks[start : start + 10, :, 0] = track
    tracklets2d = rng.integers(0, 4, tracks.shape)
    # 2D tracklet, former track, new one, since when, until before which row.
    moves = np.array([[1, 2, 4, -1, 9], [0, 5, 1, 12, 30], [3, 0, 3, 10, 13]])
    mergers = np.array([[5, 1], [4, 5], [3, 2]])
    tracks[20:, :, 1:][tracks[20:, :, 1:] == 3] = -1
    none = np.empty(0)
    run = Run(tracks, none, none, none, none, none, none, mergers, moves)
    labels = np.zeros_like(tracks)
    revise(run, tracklets2d, labels, n_tracks=5)
    wanted = tracks.copy()
    for tracklet2d, former, track, since, row in moves:
        part = slice(since + 1, row)
        wanted[part][(tracklets2d[part] == tracklet2d) & (wanted[part] == former)] = track
    for track, other in mergers[::-1]:
        mine, its = wanted == track, wanted == other
        if (mine.any(-1) & its.any(-1)).sum() <= 0.02 * mine.sum():
            wanted[mine] = other
    assert not np.isin(wanted, [4, 5]).any() and (wanted == 3).any()
    np.testing.assert_array_equal(labels, wanted)


def test_tracklets_do_not_depend_on_how_a_recording_is_cut(monkeypatch, rng, tmp_path):
    runs = [make_run(rng, count) for count in (7, 1, 22)]
    labels = rng.integers(-1, 6, (30, 2, 3))
    tracklets2d = np.where(labels < 0, -1, rng.integers(0, 9, labels.shape))
    tracklets2d[(labels < 0) & (rng.random(labels.shape) < 0.5)] = 4  # what is left of one
    places = rng.random((*labels.shape, 2))
    tracks = Tracks2D(100 + np.arange(30), tracklets2d, 9, places, np.array([True, False]))
    whole = join_runs(runs, 30, Shelf())
    assert whole.frame[:].tolist() == [n for n in range(30) for _ in range(2)]
    found = [measure_tracklets(labels, whole, tracks, n_tracks=4)]
    monkeypatch.setattr("mapose.shelf._BLOCK", 16 * 6 * 4)  # blocks of four frames
    with Shelf(tmp_path) as shelf:
        run = join_runs(runs, 30, shelf)
        found.append(measure_tracklets(labels, run, tracks, n_tracks=4))
    np.testing.assert_array_equal(found[0].weight, found[1].weight)
    for one, other in zip(
        (found[0].start, found[0].end), (found[1].start, found[1].end), strict=True
    ):
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)
    first = [np.flatnonzero((labels == track).any((1, 2)))[0] for track in range(6)]
    assert found[0].start.frame.tolist() == [100 + row for row in first]


def make_run(rng, count):
    """Make a run of so many frames in which two of four tracks are alive."""
    shape = (count, 2, 3)
    return Run(
        rng.integers(-1, 4, shape),
        rng.random(shape, np.float32),
        np.zeros((*shape, 1), bool),
        np.repeat(np.arange(count), 2),
        np.stack([rng.permutation(4)[:2] for _ in range(count)]).ravel(),
        rng.random((2 * count, 3)),
        rng.random(2 * count),
        np.empty((0, 2), np.int64),
        np.empty((0, 5), np.int64),
    )
