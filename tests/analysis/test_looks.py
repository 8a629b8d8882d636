"""What several looks find is one: a head in one, a tail in another, whatever the frame."""

import torch

from mapose.analysis.looks import Look, join_looks

EDGES = torch.tensor([[0, 1]])


def make_look(frame, keypoint, xy, score, animal, pitch, *, pairs=(), affinity=()):
    count = len(frame)
    return Look(
        torch.tensor(frame),
        torch.tensor(keypoint),
        torch.tensor(xy),
        torch.tensor(score),
        torch.ones(count, 2, 2),
        torch.full((count,), pitch, dtype=torch.float64),
        torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
        torch.zeros(len(pairs), dtype=torch.int64),
        torch.tensor(affinity, dtype=torch.float32),
        torch.tensor(animal),
        torch.arange(float(count))[:, None] + pitch,
    )


def test_keypoints_of_different_looks_are_linked_by_where_they_see_their_animal():
    here, there = [50.0, 50.0, 20.0], [200.0, 50.0, 20.0]
    whole = make_look(
        [0, 0, 1],
        [0, 1, 0],
        [[40.0, 50.0], [210.0, 50.0], [40.0, 50.0]],
        [0.9, 0.3, 0.9],
        [here, there, here],
        4.0,
        pairs=[(0, 1)],
        affinity=[0.5],
    )
    half = make_look(
        [0, 0, 1],
        [1, 1, 1],
        [[60.0, 50.0], [211.0, 50.0], [60.0, 50.0]],
        [0.8, 0.7, 0.8],
        [here, there, here],
        8.0,
    )
    found = join_looks([whole, half], EDGES)
    assert found.frame.tolist() == [0, 0, 0, 1, 1]
    assert found.keypoint.tolist() == [0, 1, 1, 0, 1]
    # Of the tail on the right, which both looks found, the stronger one stays.
    assert found.xy[:, 0].tolist() == [40.0, 60.0, 211.0, 40.0, 60.0]
    # What both looks found counts for more: (2 * 0.7 + 0.3) / 3 instead of two thirds.
    wanted = [0.6, 1.6 / 3, 1.7 / 3, 0.6, 1.6 / 3]
    torch.testing.assert_close(found.score, torch.tensor(wanted))
    assert found.pitch.tolist() == [4.0, 8.0, 8.0, 4.0, 8.0]
    assert found.marks is not None and found.marks[:, 0].tolist() == [4.0, 8.0, 9.0, 6.0, 10.0]
    links = dict(zip(map(tuple, found.pairs.tolist()), found.affinity.tolist(), strict=True))
    assert links == {(0, 1): 1.0, (0, 2): -1.0, (3, 4): 1.0}


def test_within_a_look_fields_have_a_say():
    here = [50.0, 50.0, 20.0]
    look = make_look(
        [0, 0],
        [0, 1],
        [[40.0, 50.0], [60.0, 50.0]],
        [0.9, 0.8],
        [here, here],
        4.0,
        pairs=[(0, 1)],
        affinity=[0.5],
    )
    assert join_looks([look], EDGES).affinity.tolist() == [0.75]
    none = make_look([], [], torch.empty(0, 2).tolist(), [], torch.empty(0, 3).tolist(), 4.0)
    none = none._replace(
        frame=torch.empty(0, dtype=torch.int64),
        keypoint=torch.empty(0, dtype=torch.int64),
        xy=torch.empty(0, 2),
        animal=torch.empty(0, 3),
    )
    assert len(join_looks([none, none], EDGES).frame) == 0
