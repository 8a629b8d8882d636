"""Assembly: peaks to individuals, simple cases, crowds and hard inputs."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from mapose.decode import links
from mapose.decode.assembly import assemble
from mapose.decode.edges import propose_edges
from mapose.decode.links import choose_links, match_links
from mapose.errors import SettingsError, ShapeError
from mapose.poses import Peaks, join_peaks
from mapose.skeleton import Skeleton
from tests.decode.crowds import (
    KEYPOINTS,
    assemble_greedily,
    draw_crowd,
    find_crowd,
    find_reach,
    find_shares,
    find_slots,
    move_animals,
)

CHAIN = Skeleton(list("abcd"), [("a", "b"), ("b", "c"), ("c", "d")])


def make_peaks(rows, links=(), n_frames=1):
    """Peaks from rows (frame, keypoint, x, y, score) and links (row, row, edge, affinity)."""
    table = np.array(rows, float).reshape(-1, 5)
    links = np.array(links, float).reshape(-1, 4)
    return Peaks(
        frame=table[:, 0].astype(np.int64),
        keypoint=table[:, 1].astype(np.int64),
        xy=table[:, 2:4].astype(np.float32),
        score=table[:, 4].astype(np.float32),
        covariance=np.tile(np.eye(2, dtype=np.float32), (len(table), 1, 1)),
        pairs=links[:, :2].astype(np.int64),
        edge=links[:, 2].astype(np.int64),
        affinity=links[:, 3].astype(np.float32),
        n_frames=n_frames,
    )


def redundant_edges():
    points = move_animals(np.random.default_rng(5), 200, 3)
    return [(KEYPOINTS[a], KEYPOINTS[b]) for a, b in propose_edges(points)]


# Links -----------------------------------------------------------------------------------------


def draw_links(rng, left, right, count):
    code = rng.choice(left * right, min(count, left * right), replace=False)
    return np.stack([code // right, code % right], 1), rng.uniform(0.01, 1, len(code))


def find_optimum(ends, weight):
    graph = nx.Graph()
    for (a, b), w in zip(ends.tolist(), weight, strict=True):
        graph.add_edge(("left", a), ("right", b), weight=w)
    return sum(graph.edges[e]["weight"] for e in nx.max_weight_matching(graph))


@pytest.mark.parametrize("few", [0, 10_000])  # both solvers
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 4), (3, 5, 9), (10, 10, 100), (12, 9, 40)])
def test_matching_is_that_of_networkx(rng, monkeypatch, size, few):
    monkeypatch.setattr(links, "_FEW", few)
    for _ in range(10):
        ends, weight = draw_links(rng, *size)
        rows = match_links(ends, weight)
        assert len(set(ends[rows, 0])) == len(set(ends[rows, 1])) == len(rows)
        assert weight[rows].sum() == pytest.approx(find_optimum(ends, weight))
        # With a margin that nothing reaches, the solver does all but what stands alone.
        exact = choose_links(ends, weight, margin=np.inf)
        assert weight[exact].sum() == pytest.approx(find_optimum(ends, weight))


def test_clear_links_are_close_to_the_optimum(rng):
    for _ in range(20):
        ends, weight = draw_links(rng, 8, 8, 40)
        chosen = choose_links(ends, weight)
        assert len(set(ends[chosen, 0])) == len(set(ends[chosen, 1])) == chosen.sum()
        assert weight[chosen].sum() > 0.9 * find_optimum(ends, weight)


def test_no_links_are_no_trouble():
    none = np.empty((0, 2), np.int64)
    assert match_links(none, np.empty(0)).tolist() == []
    assert choose_links(none, np.empty(0)).tolist() == []


# Simple cases ----------------------------------------------------------------------------------


def test_two_animals_apart():
    rows = [(0, k, 10 * k + 100 * i, 5, 0.9 - 0.1 * i) for i in range(2) for k in range(4)]
    links = [(a, b, 0, 0.9 if a // 4 == b // 4 else 0.0) for a in (0, 4) for b in (1, 5)]
    links += [(1, 2, 1, 0.8), (5, 6, 1, 0.8), (2, 3, 2, 0.9), (6, 7, 2, 0.7)]
    peaks = make_peaks(rows, links, n_frames=2)
    poses = assemble(peaks, CHAIN)
    assert poses.array.shape == (2, 2, 4, 3)
    assert poses.individuals is None
    # The better one comes first.
    np.testing.assert_array_equal(poses.points[0, 0, :, 0], [0, 10, 20, 30])
    np.testing.assert_array_equal(poses.points[0, 1, :, 0], [100, 110, 120, 130])
    np.testing.assert_allclose(poses.confidence[0, 1], 0.8)
    np.testing.assert_array_equal(poses.covariance[0, 0, 2], np.eye(2))
    assert np.isnan(poses.array[1, ..., :2]).all()
    assert np.isnan(poses.covariance[1]).all()
    assert not poses.confidence[1].any()


def test_number_of_animals_is_respected():
    rows = [(0, k, 10 * k, 100 * i, 0.9 - 0.1 * i) for i in range(3) for k in range(4)]
    links = [(4 * i + k, 4 * i + k + 1, k, 0.9) for i in range(3) for k in range(3)]
    peaks = make_peaks(rows, links)
    two = assemble(peaks, CHAIN, individuals=2)
    np.testing.assert_array_equal(two.points[0, :, 0, 1], [0, 100])
    five = assemble(peaks, CHAIN, individuals=5)
    assert five.array.shape == (1, 5, 4, 3)
    assert (five.confidence > 0).any(-1).sum() == 3


def test_a_keypoint_taken_twice_is_resolved():
    # Two animals whose b are wrongly tied to one c: the weaker tie is cut.
    rows = [(0, k, 10 * k, 50 * i, 0.9) for i in range(2) for k in range(4)]
    skeleton = Skeleton(list("abcd"), [("a", "b"), ("b", "c"), ("c", "d"), ("a", "c"), ("b", "d")])
    links = [(4 * i, 4 * i + 1, 0, 0.9) for i in range(2)]
    links += [(1, 2, 1, 0.9), (2, 3, 2, 0.9), (6, 7, 2, 0.9), (4, 6, 3, 0.7), (5, 7, 4, 0.7)]
    links += [(0, 6, 3, 0.1), (5, 3, 4, 0.75), (0, 2, 3, 0.8)]
    poses = assemble(make_peaks(rows, links), skeleton)
    found = {tuple(p) for p in poses.points[0, :, :, 1].tolist()}
    assert found == {(0, 0, 0, 0), (50, 50, 50, 50)}


def test_fragments_are_joined_within_reach_only():
    # Front and back of two animals, the link in the middle missing.
    rows = [(0, k, 10 * k, y, 0.9) for y in (0, 200) for k in range(4)]
    links = [(0, 1, 0, 0.9), (2, 3, 2, 0.9), (4, 5, 0, 0.9), (6, 7, 2, 0.9)]
    reach = np.full((4, 4), 40.0)
    reach[0, 2] = np.nan
    peaks = make_peaks(rows, links)
    joined = assemble(peaks, CHAIN, reach=reach)
    assert joined.array.shape[1] == 2
    assert (joined.confidence > 0).all()
    assert (np.ptp(joined.points[0, ..., 1], axis=1) == 0).all()
    assert assemble(peaks, CHAIN).array.shape[1] == 4
    assert assemble(peaks, CHAIN, reach=reach * np.nan).array.shape[1] == 4


def test_ambiguous_fragments_are_joined_only_if_the_number_is_known():
    # One front, two backs at the same distance.
    rows = [(0, 0, 0, 0, 0.9), (0, 1, 10, 0, 0.9)]
    rows += [(0, k, 10 * k, y, 0.8) for y in (10, -10) for k in (2, 3)]
    links = [(0, 1, 0, 0.9), (2, 3, 2, 0.9), (4, 5, 2, 0.9)]
    reach = np.full((4, 4), 40.0)
    peaks = make_peaks(rows, links)
    unknown = assemble(peaks, CHAIN, reach=reach)
    assert sorted((unknown.confidence[0] > 0).sum(1)) == [2, 2, 2]
    known = assemble(peaks, CHAIN, reach=reach, individuals=2)
    assert sorted((known.confidence[0] > 0).sum(1)) == [2, 4]


def test_strays_are_dropped():
    rows = [(0, k, 10 * k, 0, 0.9) for k in range(3)] + [(0, 3, 300, 0, 0.9)]
    links = [(0, 1, 0, 0.9), (1, 2, 1, 0.9), (2, 3, 2, 0.05)]
    for number in (None, 2):
        poses = assemble(make_peaks(rows, links), CHAIN, individuals=number)
        assert (poses.confidence > 0).sum() == 3


def test_skeletons_without_links():
    rows = [(0, 0, 5, 5, 0.9), (0, 0, 50, 5, 0.8), (1, 0, 9, 9, 0.7)]
    points = assemble(make_peaks(rows, n_frames=2), Skeleton(list("a")))
    np.testing.assert_array_equal(points.points[0, :, 0, 0], [5, 50])
    assert (points.confidence[1, :, 0] > 0).tolist() == [True, False]
    rows = [(0, k, 10 * k, y, 0.9) for y in (0, 300) for k in range(4)]
    bare = Skeleton(list("abcd"))
    joined = assemble(make_peaks(rows), bare, reach=np.full((4, 4), 40.0))
    assert joined.array.shape[1] == 2
    assert (joined.confidence > 0).all()
    assert assemble(make_peaks(rows), bare).array.shape[1] == 8


# One animal ------------------------------------------------------------------------------------


def test_one_animal_gets_its_best_supported_peaks():
    rows = [(0, k, 10 * k, 0, 0.6) for k in range(4)]
    rows += [(0, 1, 300, 0, 0.9), (0, 1, 11, 0, 0.3)]  # a reflection; a weaker double
    links = [(0, 1, 0, 0.9), (0, 4, 0, 0.0), (0, 5, 0, 0.9), (1, 2, 1, 0.9), (4, 2, 1, 0.1)]
    poses = assemble(make_peaks(rows, links), CHAIN, individuals=1)
    np.testing.assert_array_equal(poses.points[0, 0, :, 0], [0, 10, 20, 30])
    # Without links the score decides.
    bare = assemble(make_peaks(rows), CHAIN, individuals=1)
    assert bare.points[0, 0, 1, 0] == 300


def test_one_animal_loses_what_is_out_of_reach():
    rows = [(0, k, 10 * k, 0, 0.6) for k in range(3)] + [(0, 3, 300, 0, 0.9)]
    rows += [(1, 0, 0, 0, 0.9), (1, 1, 300, 0, 0.6)]
    reach = np.full((4, 4), 40.0)
    poses = assemble(make_peaks(rows, n_frames=3), CHAIN, individuals=1, reach=reach)
    assert (poses.confidence[0, 0] > 0).tolist() == [True, True, True, False]
    # Of two that contradict each other the better one stays.
    assert (poses.confidence[1, 0] > 0).tolist() == [True, False, False, False]
    assert not poses.confidence[2].any()


# Crowds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("animals", "bar"), [(2, 0.97), (5, 0.955), (10, 0.955)])
def test_crowds_are_told_apart(animals, bar):
    rng = np.random.default_rng(animals)
    crowd = draw_crowd(rng, 64, animals, edges=redundant_edges(), room=1.5)
    reach = find_reach(crowd.points)
    poses = assemble(crowd.peaks, crowd.skeleton, individuals=animals, reach=reach)
    right, pure = find_shares(crowd, find_slots(crowd, poses))
    greedy, _ = find_shares(crowd, assemble_greedily(crowd, individuals=animals))
    assert right > bar
    assert pure > bar
    assert right > greedy + 0.005
    unknown = assemble(crowd.peaks, crowd.skeleton, reach=reach)
    assert find_shares(crowd, find_slots(crowd, unknown))[0] > bar - 0.01


def test_real_flies_are_told_apart(recordings):
    with np.load(recordings / "flies_courtship" / "labels.npz", allow_pickle=False) as file:
        points = file["points"][::25].astype(float)
        names = [str(k) for k in file["keypoints"]]
    edges = [(names[a], names[b]) for a, b in propose_edges(points)]
    rng = np.random.default_rng(0)
    crowd = find_crowd(rng, points, Skeleton(names, edges), missing=0.05, width=8)
    reach = find_reach(points)
    poses = assemble(crowd.peaks, crowd.skeleton, individuals=2, reach=reach)
    right, pure = find_shares(crowd, find_slots(crowd, poses))
    assert right > 0.99
    assert pure > 0.99


def test_order_and_neighbours_in_the_run_do_not_matter():
    rng = np.random.default_rng(0)
    crowd = draw_crowd(rng, 12, 4, edges=redundant_edges(), room=1.5)
    peaks, reach = crowd.peaks, find_reach(crowd.points)
    whole = assemble(peaks, crowd.skeleton, individuals=4, reach=reach)
    twice = assemble(join_peaks([peaks, peaks]), crowd.skeleton, individuals=4, reach=reach)
    np.testing.assert_array_equal(twice.array[:12], whole.array)
    np.testing.assert_array_equal(twice.array[12:], whole.array)
    order = rng.permutation(len(peaks.edge))
    mixed = replace(
        peaks, pairs=peaks.pairs[order], edge=peaks.edge[order], affinity=peaks.affinity[order]
    )
    other = assemble(mixed, crowd.skeleton, individuals=4, reach=reach)
    np.testing.assert_array_equal(other.array, whole.array)


def test_no_keypoint_is_used_twice_and_none_invented():
    crowd = draw_crowd(np.random.default_rng(1), 20, 6)
    poses = assemble(crowd.peaks, crowd.skeleton, individuals=6)
    there = poses.confidence > 0
    used = poses.points[there]
    assert len(np.unique(used, axis=0)) == len(used)
    known = {tuple(p) for p in crowd.peaks.xy.tolist()}
    assert {tuple(p) for p in used.tolist()} <= known


def test_many_keypoints():
    # More keypoints than fit one machine word.
    skeleton = Skeleton([f"k{k}" for k in range(70)], [(f"k{k}", f"k{k + 1}") for k in range(69)])
    rows = [(0, k, 5 * k, 90 * i, 0.9) for i in range(2) for k in range(70)]
    links = [(70 * i + k, 70 * i + k + 1, k, 0.9) for i in range(2) for k in range(69) if k != 40]
    reach = np.full((70, 70), 500.0)
    reach[40, 41] = reach[41, 40] = 20
    poses = assemble(make_peaks(rows, links), skeleton, reach=reach)
    assert poses.array.shape[1] == 2
    assert (np.ptp(poses.points[0, ..., 1], axis=1) == 0).all()


# Hard inputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [None, 1, 3])
@pytest.mark.parametrize("frames", [0, 4])
def test_zero_animals(number, frames):
    poses = assemble(make_peaks([], n_frames=frames), CHAIN, individuals=number)
    assert poses.array.shape == (frames, number or 1, 4, 3)
    assert not (poses.confidence > 0).any()


@pytest.mark.parametrize("number", [None, 1, 2])
def test_numbers_that_are_none(number):
    rows = [(0, k, 10 * k, 0, 0.9) for k in range(4)]
    rows += [(0, 0, np.nan, 0, 0.9), (0, 1, 5, np.inf, 0.9), (0, 2, 20, 9, np.nan)]
    links = [(0, 1, 0, 0.9), (1, 2, 1, 0.9), (2, 3, 2, 0.9)]
    links += [(4, 1, 0, 1.0), (0, 5, 0, np.nan), (1, 6, 1, np.inf), (6, 3, 2, 1.0)]
    links += [(0, 1, 0, np.nan), (0, 1, 0, -np.inf)]
    poses = assemble(make_peaks(rows, links), CHAIN, individuals=number)
    np.testing.assert_array_equal(poses.points[0, 0, :, 0], [0, 10, 20, 30])
    assert (poses.confidence > 0).sum() == 4


def test_wrong_calls_are_refused():
    peaks = make_peaks([(0, 3, 1, 1, 0.9)])
    with pytest.raises(ShapeError, match="3 keypoints, came number 3"):
        assemble(peaks, Skeleton(list("abc")))
    linked = make_peaks([(0, 0, 1, 1, 0.9), (0, 1, 1, 1, 0.9)], [(0, 1, 2, 0.5)])
    with pytest.raises(ShapeError, match="1 edges, came number 2"):
        assemble(linked, Skeleton(list("ab"), [("a", "b")]))
    with pytest.raises(ShapeError, match="reach"):
        assemble(peaks, CHAIN, reach=np.ones((3, 3)))
    with pytest.raises(SettingsError, match="individuals: wanted at least 1"):
        assemble(peaks, CHAIN, individuals=0)
