"""Affinities: line integrals for all candidate links of a batch."""

import numpy as np
import pytest
import torch

from mapose.data.targets import draw_centres, draw_fields
from mapose.decode import affinity as module
from mapose.decode.affinity import find_repeats, find_same, read_centres, score_centres, score_links


def score_slowly(fields, frame, keypoint, cells, edges, samples=10):
    """The definition, one pair and one place at a time."""
    found = {}
    for a in range(len(frame)):
        for b in range(len(frame)):
            for e, (i, j) in enumerate(edges.tolist()):
                if frame[a] != frame[b] or keypoint[a] != i or keypoint[b] != j:
                    continue
                gap = cells[b] - cells[a]
                length = float(np.hypot(*gap))
                total = 0.0
                for s in np.linspace(0, 1, samples):
                    x, y = np.rint(cells[a] + gap * np.float32(s)).astype(int)
                    total += float(fields[frame[a], 2 * e : 2 * e + 2, y, x] @ gap)
                found[a, b, e] = total / samples / length if length else 0.0
    return found


def draw_peaks(rng, count, batch=3, keypoints=5, size=(20, 31)):
    frame = np.sort(rng.integers(0, batch, count))
    keypoint = rng.integers(0, keypoints, count)
    # Not halfway between cells, where rounding is a matter of taste.
    cells = rng.integers(0, 10 * (np.array(size[::-1]) - 1), (count, 2)) / 10 + 0.013
    return frame, keypoint, cells.astype(np.float32)


def to_tensors(*arrays):
    return [torch.from_numpy(np.asarray(a)) for a in arrays]


def test_all_links_are_those_of_the_definition(rng):
    edges = np.array([[0, 1], [3, 1], [4, 0], [2, 3]])
    fields = rng.normal(0, 1, (3, 8, 20, 31)).astype(np.float32)
    frame, keypoint, cells = draw_peaks(rng, 60)
    truth = score_slowly(fields, frame, keypoint, cells, edges, samples=7)
    pairs, edge, affinity = score_links(
        *to_tensors(fields, frame, keypoint, cells, edges), samples=7
    )
    found = {
        (*p, e): a for p, e, a in zip(pairs.tolist(), edge.tolist(), affinity.tolist(), strict=True)
    }
    assert found.keys() == truth.keys()
    assert len(pairs) == len(truth) > 100
    # Where a place falls close to halfway between cells, rounding may differ.
    gap = np.abs([found[k] - truth[k] for k in truth])
    assert np.median(gap) < 1e-6
    assert (gap < 1e-5).mean() > 0.98


def test_drawn_limbs_are_found():
    points = torch.tensor([[[[20.0, 20.0], [60.0, 44.0]], [[20.0, 60.0], [70.0, 80.0]]]])
    fields, _ = draw_fields(points, torch.tensor([[0, 1]]), (30, 30), pitch=4.0)
    cells = (points.reshape(4, 2) + 0.5) / 4 - 0.5
    pairs, _, affinity = score_links(
        fields,
        torch.zeros(4, dtype=torch.int64),
        torch.tensor([0, 1, 0, 1]),
        cells,
        torch.tensor([[0, 1]]),
    )
    assert pairs.tolist() == [[0, 1], [0, 3], [2, 1], [2, 3]]
    assert affinity[[0, 3]].min() > 0.95
    assert affinity[[1, 2]].abs().max() < 0.35
    # Against the limb's direction the affinity is negative.
    _, _, against = score_links(
        fields,
        torch.zeros(2, dtype=torch.int64),
        torch.tensor([1, 0]),
        cells[:2],
        torch.tensor([[0, 1]]),
    )
    assert against.item() < -0.95


@pytest.mark.parametrize(("count", "edges"), [(0, 3), (12, 0), (0, 0)])
def test_nothing_to_link(rng, count, edges):
    frame, keypoint, cells = draw_peaks(rng, count)
    pairs, edge, affinity = score_links(
        torch.zeros(3, 2 * edges, 20, 31),
        *to_tensors(frame, keypoint, cells),
        torch.tensor([[0, 1], [1, 2], [2, 3]][:edges], dtype=torch.int64),
    )
    assert pairs.shape == (0, 2)
    assert edge.shape == affinity.shape == (0,)
    assert (pairs.dtype, edge.dtype) == (torch.int64, torch.int64)
    assert affinity.dtype == torch.float32


def test_coincident_and_outlying_peaks_do_no_harm():
    fields = torch.ones(1, 2, 6, 6)
    frame = torch.zeros(3, dtype=torch.int64)
    cells = torch.tensor([[2.0, 2.0], [2.0, 2.0], [40.0, -3.0]])
    _, _, affinity = score_links(
        fields, frame, torch.tensor([0, 1, 1]), cells, torch.tensor([[0, 1]])
    )
    assert affinity[0] == 0
    assert torch.isfinite(affinity).all()


def test_long_pairs_can_be_left_out(rng):
    frame, keypoint, cells = draw_peaks(rng, 80)
    inputs = to_tensors(np.zeros((3, 4, 20, 31), np.float32), frame, keypoint, cells)
    edges = torch.tensor([[0, 1], [1, 2]])
    pairs, edge, _ = score_links(*inputs, edges)
    short, kept, _ = score_links(*inputs, edges, longest=torch.tensor([5.0, 9.0]))
    length = (inputs[3][pairs[:, 0]] - inputs[3][pairs[:, 1]]).norm(dim=1)
    near = length <= torch.tensor([5.0, 9.0])[edge]
    assert 0 < near.sum() < len(near)
    assert torch.equal(short, pairs[near])
    assert torch.equal(kept, edge[near])


def test_chunks_and_half_precision_change_nothing(rng, monkeypatch):
    fields = rng.normal(0, 1, (3, 4, 20, 31)).astype(np.float16)
    inputs = to_tensors(fields, *draw_peaks(rng, 80))
    edges = torch.tensor([[0, 1], [1, 2]])
    whole = score_links(*inputs, edges)
    monkeypatch.setattr(module, "CHUNK", 17)
    parts = score_links(inputs[0].float(), *inputs[1:], edges)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b)


def test_peaks_that_see_the_same_centre_agree_whatever_the_size_of_the_animal():
    """A large and a small animal; the peaks are where draw_centres knows them."""
    large = [[10.0, 10.0], [60.0, 30.0]]
    small = [[90.0, 12.0], [96.0, 12.0]]
    points = torch.tensor([[large, small]])
    centres, _ = draw_centres(points, (40, 110), pitch=1.0)
    cells = points.reshape(-1, 2)
    pairs = torch.tensor([[0, 1], [2, 3], [0, 2], [1, 2], [1, 3]])
    seen = read_centres(centres, torch.zeros(4, dtype=torch.int64), cells)
    middle, size = torch.tensor([35.0, 20.0]), (25.0**2 + 10.0**2) ** 0.5
    torch.testing.assert_close(seen[:2], torch.tensor([*middle, size]).expand(2, 3))
    found = score_centres(seen, pairs)
    assert (found[:2] > 0.99).all()
    assert (found[2:] < -0.5).all()


def test_of_peaks_on_one_animal_the_strongest_stays_and_neighbours_stay_too():
    seen = torch.tensor(
        [[50.0, 50, 30], [60, 55, 8], [44, 50, 28], [95, 50, 30], [50, 50, 30], [50, 50, 30]]
    )
    frame, keypoint = torch.tensor([0, 0, 0, 0, 0, 1]), torch.tensor([0, 0, 0, 0, 1, 0])
    score = torch.tensor([0.6, 0.5, 0.9, 0.8, 0.2, 0.1])
    same = find_same(seen, frame, keypoint)
    assert {tuple(pair) for pair in same.tolist()} == {
        (a, b) for a in (0, 1, 2) for b in (0, 1, 2) if a != b
    }
    assert find_repeats(same, score).tolist() == [True, True, False, False, False, False]
    assert find_same(seen[:0], frame[:0], keypoint[:0]).tolist() == []


def test_a_peak_beside_one_that_is_a_repeat_itself_stays():
    same = torch.tensor([[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2]])
    score = torch.tensor([0.9, 0.8, 0.7, 0.6])
    assert find_repeats(same, score).tolist() == [False, True, False, True]
    assert find_repeats(same[:0], score).tolist() == [False] * 4
