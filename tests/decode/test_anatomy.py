"""Anatomy: where keypoints lie on a body, learned from labels, and peaks chosen by it."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.anatomy import Anatomy, find_mahalanobis, learn_anatomy
from mapose.decode.anatomy import choose_peaks
from mapose.decode.assembly import assemble
from mapose.errors import ShapeError
from mapose.poses import join_peaks
from mapose.skeleton import Skeleton
from tests.decode.crowds import (
    KEYPOINTS,
    TREE,
    draw_crowd,
    draw_labels,
    find_reach,
    find_shares,
    find_slots,
)
from tests.decode.test_assembly import make_peaks

# Nose, left, right, back, tail; left of an animal that looks along x is up, at smaller y.
SHAPE = np.array([[40.0, 0], [20, -15], [20, 15], [-20, 0], [-50, 0]])
NAMES = Skeleton(["nose", "l", "r", "back", "tail"], [], [("l", "r")])
CROWD_FLIP = Skeleton(
    KEYPOINTS, TREE, [(k, k[:-1] + "R") for k in KEYPOINTS if k.endswith("L")]
).flip_order


@pytest.fixture
def anatomy(rng):
    return learn_anatomy(SHAPE + rng.normal(0, 2, (50, 5, 2)))


def turn(points, angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    c, s = np.cos(angle), np.sin(angle)
    return scale * points @ np.array([[c, s], [-s, c]]) + shift


def choose(anatomy, xy, keypoint, slot, *, score=0.8, frame=0, individuals=1):
    rows = np.column_stack(np.broadcast_arrays(frame, keypoint, *np.transpose(xy), score))
    peaks = make_peaks(rows, n_frames=int(rows[:, 0].max()) + 1)
    return choose_peaks(peaks, np.array(slot), anatomy, individuals).tolist()


# Learning --------------------------------------------------------------------------------------


def test_the_shape_is_found_whatever_its_place_turn_and_size(rng):
    spread = np.array([1.0, 1, 1, 2, 12])[:, None]
    poses = SHAPE + rng.normal(0, 1, (300, 5, 2)) * spread
    moved = np.stack(
        [
            turn(p, a, s, t)
            for p, a, s, t in zip(
                poses,
                rng.uniform(0, 7, 300),
                rng.uniform(0.5, 2, 300),
                rng.uniform(0, 1000, (300, 2)),
                strict=True,
            )
        ]
    )
    one, other = learn_anatomy(poses), learn_anatomy(moved)
    assert abs(np.mean(one.mean)) < 1e-9
    assert np.mean(np.sum(one.mean**2, 1)) == pytest.approx(1)
    np.testing.assert_allclose(find_gaps(one.mean), find_gaps(other.mean), atol=1e-6)
    truth = find_gaps(SHAPE) / np.sqrt(np.mean(np.sum((SHAPE - SHAPE.mean(0)) ** 2, 1)))
    np.testing.assert_allclose(find_gaps(one.mean), truth, atol=0.05)
    sizes = np.trace(one.covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(sizes, np.trace(other.covariance, axis1=1, axis2=2), rtol=1e-6)
    # The tail wags, by 12 px to either side; body size is 32 px.
    assert np.sqrt(sizes[4] / 2) == pytest.approx(12 / 32.4, rel=0.15)
    assert sizes[4] > 4 * sizes[:4].max()


def find_gaps(points):
    return np.linalg.norm(points[:, None] - points, axis=-1)


def test_missing_labels_are_no_trouble(rng):
    whole = SHAPE + rng.normal(0, 1, (200, 5, 2))
    holes = whole.copy()
    holes[rng.random((200, 5)) < 0.4] = np.nan
    holes[0, 0, 1] = np.inf
    one, other = learn_anatomy(whole), learn_anatomy(holes)
    np.testing.assert_allclose(find_gaps(one.mean), find_gaps(other.mean), atol=0.03)
    # One keypoint is hardly ever labelled: the others are learned.
    holes[5:, 4] = np.nan
    rest = learn_anatomy(holes)
    assert np.isnan(rest.mean[4]).all() and np.isnan(rest.covariance[4]).all()
    assert np.isfinite(rest.mean[:4]).all() and np.isfinite(rest.covariance[:4]).all()


def test_one_wrong_label_does_not_spoil_it(rng):
    poses = SHAPE + rng.normal(0, 2, (100, 5, 2))
    wrong = poses.copy()
    wrong[7, 0] += 5000
    one, other = learn_anatomy(poses), learn_anatomy(wrong)
    np.testing.assert_allclose(find_gaps(one.mean), find_gaps(other.mean), atol=0.05)
    assert np.trace(other.covariance[0]) < 3 * np.trace(one.covariance[0])


def test_left_and_right_are_learned_from_each_other(rng):
    poses = SHAPE + rng.normal(0, 2, (60, 5, 2))
    poses[:, 2] += np.nan  # right was never labelled
    assert np.isnan(learn_anatomy(poses).mean[2]).all()
    both = learn_anatomy(poses, flip_order=NAMES.flip_order)
    gaps = find_gaps(both.mean)
    assert gaps[0, 1] == pytest.approx(gaps[0, 2])
    spread = np.linalg.eigvalsh(both.covariance)
    np.testing.assert_allclose(spread[1], spread[2])


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((50, 1, 2)),
        np.random.default_rng(0).normal(0, 9, (50, 2, 2)),
        np.zeros((0, 5, 2)),
        np.full((50, 5, 2), np.nan),
        SHAPE + np.random.default_rng(0).normal(0, 1, (9, 5, 2)),  # too few
        np.zeros((50, 5, 2)),  # all in one place
        np.full((50, 5, 2), np.inf),
        np.where(np.arange(5)[:, None] < 2, SHAPE, np.nan) + np.zeros((50, 1, 1)),
    ],
)
def test_what_cannot_be_learned_is_none(points):
    assert learn_anatomy(points) is None


def test_three_keypoints_that_are_never_labelled_together_are_none(rng):
    poses = SHAPE + rng.normal(0, 1, (90, 5, 2))
    for n, pose in enumerate(poses):
        pose[[n % 5, (n + 1) % 5, (n + 2) % 5]] = np.nan
    assert learn_anatomy(poses) is None


def test_ten_labels_are_enough(rng):
    poses = SHAPE + rng.normal(0, 1, (10, 5, 2))
    assert np.isfinite(learn_anatomy(poses).mean).all()


def test_poses_of_two_keypoints_teach_nothing(rng):
    """They fit any shape: neither what they hold is learned from them, nor how it scatters."""
    poses = SHAPE + rng.normal(0, 5, (40, 5, 2))
    poses[:, 4] = np.nan
    pairs = SHAPE + rng.normal(0, 20, (40, 5, 2))
    pairs[:, :3] = np.nan
    one, other = learn_anatomy(poses), learn_anatomy(np.concatenate([poses, pairs]))
    np.testing.assert_allclose(one.mean, other.mean)
    np.testing.assert_allclose(one.covariance, other.covariance)
    assert np.isnan(other.mean[4]).all() and np.isfinite(other.mean[:4]).all()


def test_the_spread_is_that_of_the_keypoints_not_of_the_fit(rng):
    anatomy = learn_anatomy(SHAPE + rng.normal(0, 6, (500, 5, 2)))
    spread = np.sqrt(np.trace(anatomy.covariance, axis1=1, axis2=2) / 2)
    np.testing.assert_allclose(spread, 6 / 32.4, rtol=0.15)


def test_shapes_that_do_not_fit_are_refused(anatomy):
    with pytest.raises(ShapeError, match="covariance"):
        Anatomy(anatomy.mean, anatomy.covariance[:3])
    with pytest.raises(ShapeError, match="joint covariance"):
        Anatomy(anatomy.mean, anatomy.covariance, anatomy.joint[:3])
    with pytest.raises(ShapeError, match="anatomy: wanted 2 keypoints, came 5"):
        assemble(make_peaks([]), Skeleton(list("ab")), anatomy=anatomy)


# Choosing --------------------------------------------------------------------------------------

PLACES = [{}, {"angle": 2.0}, {"scale": 3.0}, {"angle": -1.0, "scale": 0.3, "shift": (500, 9)}]


@pytest.mark.parametrize("place", PLACES)
def test_swapped_sides_are_put_right(anatomy, place):
    # Both peaks of both sides are there; the wrong ones were taken.
    xy = turn(SHAPE[[0, 1, 2, 3, 4, 1, 2]], **place)
    keypoint = [0, 2, 1, 3, 4, 1, 2]
    assert choose(anatomy, xy, keypoint, [0, 0, 0, 0, 0, -1, -1]) == [0, -1, -1, 0, 0, 0, 0]


@pytest.mark.parametrize("place", PLACES)
def test_a_far_peak_loses_although_its_score_is_higher(anatomy, place):
    xy = turn(np.vstack([SHAPE, [[40, 60]]]), **place)
    score = [0.5, 0.8, 0.8, 0.8, 0.8, 0.6]
    wrong = [-1, 0, 0, 0, 0, 0]
    assert choose(anatomy, xy, [0, 1, 2, 3, 4, 0], wrong, score=score) == [0, 0, 0, 0, 0, -1]
    # Of two in the same place the score decides.
    xy[5] = xy[0] + 0.5
    assert choose(anatomy, xy, [0, 1, 2, 3, 4, 0], wrong, score=score) == [-1, 0, 0, 0, 0, 0]


def test_a_much_surer_peak_may_be_a_little_off(anatomy):
    xy = np.vstack([SHAPE, SHAPE[:1] + [0, 6]])
    score = [0.5, 0.8, 0.8, 0.8, 0.8, 0.9]
    wanted = [-1, 0, 0, 0, 0, 0]
    assert choose(anatomy, xy, [0, 1, 2, 3, 4, 0], [0] * 5 + [-1], score=score) == wanted


def test_distances_know_the_direction_of_the_spread():
    spread, gap = np.array([[4.0, 1.5], [1.5, 1.0]]), np.array([[2.0, 1.0], [2.0, -1.0]])
    wanted = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(spread + 0.5 * np.eye(2)), gap)
    found = find_mahalanobis(gap @ [1, 1j], spread, np.full(2, 0.5))
    np.testing.assert_allclose(found, wanted)


def test_a_mirror_image_is_another_animal(anatomy):
    # Left and right are where they are on a mirrored animal, and there is nothing else.
    xy = SHAPE * [1, -1]
    assert choose(anatomy, xy, range(5), [0] * 5) == [0] * 5
    xy = np.vstack([xy, SHAPE[1:3]])
    assert choose(anatomy, xy, [0, 1, 2, 3, 4, 1, 2], [0] * 5 + [-1] * 2) == [
        0, -1, -1, 0, 0, 0, 0,
    ]  # fmt: skip


def test_neighbours_do_not_steal(anatomy):
    # Two animals side by side, 40 px apart; the tail of the second was not found.
    xy = np.vstack([SHAPE, SHAPE[:4] + [0, 40]])
    keypoint = [*range(5), *range(4)]
    slot = [0] * 5 + [1] * 4
    assert choose(anatomy, xy, keypoint, slot, individuals=2) == slot
    score = [0.3] * 5 + [0.9] * 4
    assert choose(anatomy, xy, keypoint, slot, individuals=2, score=score) == slot
    # One was given the nose of the other and has left it the own one: back they go.
    swapped = [1, 0, 0, 0, 0, 0, 1, 1, 1]
    assert choose(anatomy, xy, keypoint, swapped, individuals=2) == slot
    # One peak, two animals that want it: the one it fits better has it.
    both = np.vstack([SHAPE[1:], SHAPE[1:] + [0, 12], [[40, 9]]])
    keypoint = [1, 2, 3, 4, 1, 2, 3, 4, 0]
    slot = [0] * 4 + [1] * 4 + [0]
    assert choose(anatomy, both, keypoint, slot, individuals=2) == [0] * 4 + [1] * 5


def test_gaps_are_filled_with_what_lies_near_enough(anatomy):
    xy = np.vstack([SHAPE, [[300, 300]]])
    assert choose(anatomy, xy, [0, 1, 2, 3, 4, 0], [-1, 0, 0, 0, 0, -1]) == [0] * 5 + [-1]
    assert choose(anatomy, xy[1:], [1, 2, 3, 4, 0], [0] * 4 + [-1]) == [0] * 4 + [-1]
    # What was there stays, however far: there is nothing better.
    assert choose(anatomy, xy[1:], [1, 2, 3, 4, 0], [0] * 5) == [0] * 5


def test_fragments_are_left_alone(anatomy):
    # From one keypoint, or two in one place, nobody can tell how an animal lies.
    xy = SHAPE.copy()
    assert choose(anatomy, xy, range(5), [0, -1, -1, -1, -1]) == [0, -1, -1, -1, -1]
    xy[1] = xy[0]
    assert choose(anatomy, xy, range(5), [0, 0, -1, -1, -1]) == [0, 0, -1, -1, -1]
    # Two keypoints tell where the others are.
    assert choose(anatomy, SHAPE, range(5), [0, -1, -1, -1, 0]) == [0] * 5


def lay_animals(rng, count=300):
    """Lay animals whose tails wag; how they scatter is learned from others."""
    scatter = np.array([2.0, 2, 2, 2, 20])[:, None]
    anatomy = learn_anatomy(SHAPE + rng.normal(0, 1, (200, 5, 2)) * scatter)
    return anatomy, SHAPE + rng.normal(0, 1, (count, 5, 2)) * scatter


def test_some_keypoints_on_decoys_come_back(rng):
    """One to three of five on a decoy 25 px off: what one of them gains shows the next the way."""
    anatomy, bodies = lay_animals(rng)
    wrong = rng.random((300, 5)).argsort(1) < rng.integers(1, 4, (300, 1))
    xy = np.concatenate([bodies, bodies + rng.normal(0, 25, bodies.shape)], axis=1)
    slot = np.concatenate([np.where(wrong, -1, 0), np.where(wrong, 0, -1)], axis=1)
    score = np.concatenate([rng.uniform(0.3, 0.9, (300, 5)), rng.uniform(0.05, 0.6, (300, 5))], 1)
    right = choose_in_frames(anatomy, xy, np.tile(np.arange(5), 2), slot, score)
    # 78 %; with a single round 68 %, with tails that count as much as the rest 58 %.
    assert (right == [0] * 5 + [-1] * 5).all(1).mean() > 0.73


@pytest.mark.parametrize(("score", "share"), [(0.1, 0.87), (0.8, 0.6)])
def test_a_stray_does_not_turn_the_animal(rng, score, share):
    """One keypoint is far off, without another peak; another one has a decoy 15 px off."""
    anatomy, bodies = lay_animals(rng)
    frame = np.arange(300)
    stray, tried = rng.random((300, 4)).argsort(1)[:, :2].T
    xy = np.concatenate([bodies, np.zeros((300, 1, 2))], axis=1)
    xy[frame, stray] += rng.normal(0, 40, (300, 2))
    angle = rng.uniform(0, 2 * np.pi, 300)
    xy[:, 5] = bodies[frame, tried] + 15 * np.stack([np.cos(angle), np.sin(angle)], -1)
    keypoint = np.column_stack([np.tile(np.arange(5), (300, 1)), tried])
    slot = np.zeros((300, 6), int)
    slot[frame, tried] = -1
    scores = np.full((300, 6), 0.8)
    scores[frame, stray] = score
    chosen = choose_in_frames(anatomy, xy, keypoint, slot, scores)
    assert ((chosen[frame, tried] == 0) & (chosen[:, 5] == -1)).mean() > share


@pytest.mark.parametrize("turned", [False, True])
def test_what_moves_together_is_told_by_the_other(rng, turned):
    """Two paws swing alone; below, a mirror shows which is where, and above both look alike."""

    def draw(count):
        still = np.array([[-60.0, -20], [60, -20], [-60, 40], [60, 40]]) + np.zeros((count, 1, 2))
        swing = rng.uniform(-30, 30, (count, 2)) + [-10, 10]
        lift = rng.uniform(-6, 0, (count, 2))
        above = np.stack([swing, lift], -1)
        below = np.stack([swing, np.full((count, 2), 40.0) + [-8, 8]], -1)
        poses = np.concatenate([still, above, below], 1) + rng.normal(0, 1, (count, 8, 2))
        angle = rng.uniform(0, 2 * np.pi, count) if turned else np.zeros(count)
        return np.stack([turn(*pair, shift=(300, 200)) for pair in zip(poses, angle, strict=True)])

    labels = draw(60)
    labels[::7, 5] = np.nan
    together = learn_anatomy(labels)
    poses = draw(200)
    xy = np.concatenate([poses, poses[:, [5, 4]]], 1)  # each paw is a peak of the other as well
    wrong = rng.random(200) < 0.5
    apart = np.linalg.norm(poses[:, 4] - poses[:, 5], axis=1) > 15
    slot = np.zeros((200, 10), int)
    slot[:, 8:] = np.where(wrong, 0, -1)[:, None]
    slot[:, 4:6] = np.where(wrong, -1, 0)[:, None]
    score = np.full((200, 10), 0.8)
    score[:, [4, 5, 8, 9]] = rng.uniform(0.3, 0.5, (200, 4))
    keypoint = [*range(8), 4, 5]
    right = np.array([0] * 8 + [-1] * 2)
    shares = []
    for anatomy in (together, replace(together, joint=None)):
        chosen = choose_in_frames(anatomy, xy, keypoint, slot, score)
        shares.append((chosen == right).all(1)[apart].mean())
    assert shares[0] > 0.87 and shares[1] < 0.5  # 91 to 92 %, and 32 to 38


def choose_in_frames(anatomy, xy, keypoint, slot, score):
    """Choose in many frames at once; all (F, N)."""
    keypoint = np.broadcast_to(keypoint, slot.shape)
    frame = np.repeat(np.arange(len(slot)), slot.shape[1])
    rows = np.column_stack([frame, keypoint.ravel(), xy.reshape(-1, 2), score.ravel()])
    peaks = make_peaks(rows, n_frames=len(slot))
    return choose_peaks(peaks, slot.ravel(), anatomy, 1).reshape(slot.shape)


def test_a_gap_is_filled_only_by_what_is_near(anatomy):
    for away, wanted in ((4, 0), (20, -1)):
        xy = SHAPE + np.where(np.arange(5)[:, None] == 0, [0, away], 0)
        assert choose(anatomy, xy, range(5), [-1, 0, 0, 0, 0]) == [wanted, 0, 0, 0, 0]


def test_of_two_faint_peaks_the_nearer_one_is_taken(anatomy):
    xy = np.vstack([SHAPE[0] + [0, 12], SHAPE[1:], SHAPE[:1]])
    score = [0.02, 0.8, 0.8, 0.8, 0.8, 0.03]
    wanted = [-1, 0, 0, 0, 0, 0]
    assert choose(anatomy, xy, [0, 1, 2, 3, 4, 0], [0] * 5 + [-1], score=score) == wanted


def test_keypoints_that_are_not_known_say_nothing(rng):
    poses = SHAPE + rng.normal(0, 2, (50, 5, 2))
    poses[:, 4] = np.nan
    most = learn_anatomy(poses)
    # The tail is far away: the nose comes back from its decoy all the same, and the tail stays
    # where it is although there is another one amid the body.
    xy = np.vstack([SHAPE[0] + [0, 15], SHAPE[1:4], [[400, 300]], SHAPE[:1], [[5, 0]]])
    slot = [0, 0, 0, 0, 0, -1, -1]
    assert choose(most, xy, [0, 1, 2, 3, 4, 0, 4], slot) == [-1, 0, 0, 0, 0, 0, -1]


def test_keypoints_that_are_not_known_keep_their_peaks(rng):
    poses = SHAPE + rng.normal(0, 2, (50, 5, 2))
    poses[:, 1] = np.nan
    half = learn_anatomy(poses)
    xy = np.vstack([SHAPE, SHAPE[1:2] + 2])
    slot = [0, 0, 0, 0, 0, -1]
    assert choose(half, xy, [0, 1, 2, 3, 4, 1], slot) == slot


# In the assembly -------------------------------------------------------------------------------


def test_one_animal_gains_by_it(anatomy):
    # The best peak of the tail is a reflection.
    rows = [(0, k, *SHAPE[k], 0.6) for k in range(5)] + [(0, 4, 300, 300, 0.9)]
    peaks = make_peaks(rows, n_frames=2)
    plain = assemble(peaks, NAMES, individuals=1)
    assert plain.points[0, 0, 4, 0] == 300
    poses = assemble(peaks, NAMES, individuals=1, anatomy=anatomy)
    np.testing.assert_array_equal(poses.points[0, 0], SHAPE)
    assert not (poses.confidence[1] > 0).any()
    # Without another one it is still left out where it is out of reach.
    lone = make_peaks([r for r in rows if r[1] < 4 or r[2] == 300])
    reach = 1.3 * find_gaps(SHAPE)
    found = assemble(lone, NAMES, individuals=1, reach=reach, anatomy=anatomy)
    assert (found.confidence[0, 0] > 0).tolist() == [True] * 4 + [False]


@pytest.mark.parametrize("individuals", [None, 1, 3])
@pytest.mark.parametrize("frames", [0, 3])
def test_zero_animals(anatomy, individuals, frames):
    reach = np.full((5, 5), 40.0)
    poses = assemble(
        make_peaks([], n_frames=frames),
        NAMES,
        individuals=individuals,
        reach=reach,
        anatomy=anatomy,
    )
    assert poses.array.shape == (frames, individuals or 1, 5, 3)
    assert not (poses.confidence > 0).any()


@pytest.mark.parametrize("animals", [2, 6])
def test_crowds_gain_by_it(animals):
    crowd = draw_crowd(np.random.default_rng(20 + animals), 64, animals, room=1.5)
    anatomy = learn_anatomy(draw_labels(np.random.default_rng(3)), flip_order=CROWD_FLIP)
    given = {"individuals": animals, "reach": find_reach(crowd.points)}
    plain = assemble(crowd.peaks, crowd.skeleton, **given)
    poses = assemble(crowd.peaks, crowd.skeleton, anatomy=anatomy, **given)
    before, _ = find_shares(crowd, find_slots(crowd, plain))
    after, pure = find_shares(crowd, find_slots(crowd, poses))
    # The tree of links loses a limb and all behind it with every link that is missing.
    assert after > before + 0.04
    assert after > 0.97 and pure > 0.97
    used = poses.points[poses.confidence > 0]
    assert len(np.unique(used, axis=0)) == len(used)
    twice = assemble(join_peaks([crowd.peaks] * 2), crowd.skeleton, anatomy=anatomy, **given)
    np.testing.assert_array_equal(twice.array[:64], poses.array)
    np.testing.assert_array_equal(twice.array[64:], poses.array)


def test_flies_are_learned_from_few_labels(recordings):
    with np.load(recordings / "flies_courtship" / "labels.npz", allow_pickle=False) as file:
        points, names = file["points"].astype(float), [str(k) for k in file["keypoints"]]
    skeleton = Skeleton(names, [], [("wingL", "wingR"), ("eyeL", "eyeR")])
    anatomy = learn_anatomy(points[::100].reshape(-1, 13, 2))
    assert np.isfinite(anatomy.mean).all()
    sizes = np.sqrt(np.trace(anatomy.covariance, axis1=1, axis2=2))
    firm, loose = names.index("thorax"), names.index("wingR")
    assert sizes[firm] < 0.2 < sizes[loose]
    # Two peaks for each eye, on either side, and none chosen: each eye finds its own.
    rest = points[50::100].reshape(-1, 13, 2)
    whole = rest[np.isfinite(rest).all((1, 2))]
    order = skeleton.flip_order
    eyes = np.array([names.index("eyeL"), names.index("eyeR")])
    frame = np.repeat(np.arange(len(whole)), 15)
    keypoint = np.tile(np.r_[np.arange(13), eyes], len(whole))
    xy = whole[:, np.r_[np.arange(13), order[eyes]]].reshape(-1, 2)
    slot = np.where(np.tile(np.r_[np.isin(np.arange(13), eyes), False, False], len(whole)), -1, 0)
    chosen = np.array(choose(anatomy, xy, keypoint, slot, frame=frame)).reshape(-1, 15)
    assert (chosen[:, eyes] == 0).mean() > 0.95
    assert (chosen[:, 13:] == 0).mean() < 0.05
