"""Edges: a redundant set from labels, and the choice of those that discriminate."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from mapose.decode.edges import find_discrimination, match_owners, propose_edges, select_edges
from mapose.errors import ShapeError
from mapose.skeleton import Skeleton
from tests.decode.crowds import KEYPOINTS, draw_crowd, move_animals


def test_no_missing_keypoint_splits_an_animal(rng):
    points = move_animals(rng, 100, 3)
    edges = propose_edges(points)
    graph = nx.Graph(edges)
    assert set(graph) == set(range(12))
    assert not list(nx.articulation_points(graph))
    assert min(dict(graph.degree).values()) >= 2
    assert len(edges) == len({frozenset(e) for e in edges}) == 24
    # The tree comes first, so that a smaller number still holds the animal together.
    assert nx.is_connected(nx.Graph(propose_edges(points, most=1)))
    assert propose_edges(points, most=11) == edges[:11]


def test_short_and_stiff_limbs_are_preferred(rng):
    spine = np.array([[0, 0], [10, 0], [20, 0], [30, 0]]) + np.zeros((50, 1, 1, 2))
    assert propose_edges(spine, most=3) == [(0, 1), (1, 2), (2, 3)]
    wobbly = spine.copy()
    wobbly[:, :, 3] = 5 + rng.normal(0, 15, (50, 1, 2))
    order = propose_edges(wobbly, most=6)
    assert {(0, 1), (1, 2)} <= set(order[:3])


def test_wanted_edges_are_kept_as_they_are(rng):
    points = move_animals(rng, 50, 2)
    edges = propose_edges(points, [(11, 0), (4, 2)])
    assert edges[:2] == [(11, 0), (4, 2)]
    assert len({frozenset(e) for e in edges}) == len(edges) == 24
    assert nx.is_connected(nx.Graph(edges))


def test_hard_labels_are_taken(rng):
    points = move_animals(rng, 50, 2)
    points[:, :, 5] = np.nan  # never labelled
    points[::2, 0] = np.nan
    edges = propose_edges(points)
    assert 5 not in {k for e in edges for k in e}
    assert set(nx.Graph(edges)) == set(range(12)) - {5}
    assert propose_edges(np.full((3, 1, 4, 2), np.nan)) == []
    assert propose_edges(np.zeros((0, 1, 4, 2))) == []
    assert propose_edges(np.zeros((3, 1, 1, 2))) == []
    assert propose_edges(np.zeros((3, 1, 2, 2))) == [(0, 1)]


def test_wrong_calls_are_refused():
    with pytest.raises(ShapeError, match="wanted shape"):
        propose_edges(np.zeros((3, 4, 2)))
    with pytest.raises(ShapeError, match="keypoints 0 to 3"):
        propose_edges(np.zeros((3, 1, 4, 2)), [(0, 4)])
    crowd = draw_crowd(np.random.default_rng(0), 3, 1)
    with pytest.raises(ShapeError, match="3 frames"):
        select_edges(crowd.peaks, np.zeros((2, 1, 12, 2)), crowd.skeleton)


def test_useless_edges_are_dropped(rng):
    names = [(KEYPOINTS[a], KEYPOINTS[b]) for a, b in propose_edges(move_animals(rng, 100, 3))]
    crowd = draw_crowd(rng, 40, 4, edges=names, room=1.5)
    peaks = crowd.peaks
    dead = np.array([12, 15, 20])
    noise = rng.normal(0, 0.3, len(peaks.edge)).astype(np.float32)
    affinity = np.where(np.isin(peaks.edge, dead), noise, peaks.affinity)
    peaks = replace(peaks, affinity=affinity)
    kept = select_edges(peaks, crowd.points, crowd.skeleton)
    assert set(range(24)) - set(kept) == set(dead)
    power = find_discrimination(peaks, match_owners(peaks, crowd.points), 24)
    assert power[dead].max() < 0.6 < 0.9 < np.delete(power, dead).min()
    # What holds the animal together stays, however bad.
    peaks = replace(peaks, affinity=np.abs(noise))
    graph = nx.Graph([names[e] for e in select_edges(peaks, crowd.points, crowd.skeleton)])
    assert nx.is_connected(graph)
    assert set(graph) == set(KEYPOINTS)


def test_all_edges_stay_if_there_is_nothing_to_judge_by(rng):
    crowd = draw_crowd(rng, 30, 1)
    assert select_edges(crowd.peaks, crowd.points, crowd.skeleton).tolist() == list(range(11))
    lone = Skeleton(KEYPOINTS)
    empty = draw_crowd(rng, 2, 2, edges=())
    assert select_edges(empty.peaks, empty.points, lone).tolist() == []


def test_owners_are_found(rng):
    crowd = draw_crowd(rng, 50, 4, room=1.5)
    owner = match_owners(crowd.peaks, crowd.points)
    assert (owner == crowd.owner)[crowd.owner >= 0].mean() > 0.99
    assert (owner == crowd.owner)[crowd.owner < 0].mean() > 0.95
    hidden = match_owners(crowd.peaks, np.full_like(crowd.points, np.nan))
    assert (hidden == -1).all()


def test_edges_of_real_flies(recordings):
    with np.load(recordings / "flies_courtship" / "labels.npz", allow_pickle=False) as file:
        points = next(file[k] for k in file.files if file[k].ndim == 4)
    if points.shape[-1] != 2:
        points = points[..., :2]
    edges = propose_edges(points[::15])
    graph = nx.Graph(edges)
    assert set(graph) == set(range(points.shape[2]))
    assert not list(nx.articulation_points(graph))
    assert len(edges) == 2 * points.shape[2]
