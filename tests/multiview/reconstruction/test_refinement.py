"""Smoothing: the banded algebra against dense matrices, and what it may and may not do."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter

from mapose.multiview import triangulate
from mapose.multiview.reconstruction.bones import (
    Bars,
    find_covariance,
    hold_bones,
    learn_bones,
    solve_bodies,
    split_bodies,
)
from mapose.multiview.reconstruction.evidence import (
    Recording,
    count_looks,
    decide_views,
    find_persistence,
)
from mapose.multiview.reconstruction.lone_views import find_lone_views
from mapose.process_noise import estimate_process_noise
from mapose.smoothing import (
    Motion,
    cut_windows,
    find_changes,
    find_differences,
    find_links,
    find_segments,
    find_variances,
    invert_band,
    smooth_chains,
)
from mapose.synthetic import make_scene


def make_dense(frames, weights, precision, keep=0.0):
    """The system of one chain as a full matrix, and the logarithms of its precisions."""
    rows = np.zeros((len(frames) - 2, len(frames)))
    for t, weight in enumerate(find_differences(frames)):
        rows[t, t : t + 3] = weight
    lasting, precision = rows.copy(), precision.copy()
    for t in range(len(rows)):
        if keep and t and precision[t] > 0 and precision[t - 1] > 0:
            lasting[t] -= keep * rows[t - 1]
        else:
            precision[t] *= 1 - keep**2
    logs = np.log(precision[precision > 0]).sum()
    return np.diag(weights) + lasting.T * precision @ lasting, logs


def test_differences_vanish_for_constant_speed():
    frames = np.array([0, 1, 2, 4, 7, 8])
    line = np.stack([frames, 3.0 - 2 * frames], -1)
    assert np.abs(find_changes(line, find_differences(frames))).max() < 1e-12
    assert find_differences(np.arange(5)).tolist() == [[1, -2, 1]] * 3


@pytest.mark.parametrize("keep", [(0, 0, 0), (0.5, 0, 0.9)])
def test_chains_are_solved_as_dense_ones(rng, keep):
    frames = np.array([0, 1, 2, 3, 5, 6, 9, 10, 11, 12])
    values, weights = rng.normal(size=(10, 3)), rng.uniform(1, 2, (10, 3))
    weights[3:5] = 0
    precision = rng.uniform(0.1, 3, (8, 3))
    precision[4] = 0  # not linked
    motion = Motion(precision, np.array(keep, float), find_differences(frames))
    smooth, logdet = smooth_chains(values, weights, motion)
    variances = find_variances(weights, motion)
    for n in range(3):
        dense, logs = make_dense(frames, weights[:, n], precision[:, n], keep[n])
        right = weights[:, n] * values[:, n]
        assert np.allclose(smooth[:, n], np.linalg.solve(dense, right), atol=1e-8)
        assert np.allclose(variances[:, n], np.diag(np.linalg.inv(dense)), rtol=1e-8)
        assert logdet[n] == pytest.approx(np.linalg.slogdet(dense)[1])
        assert motion.sum_logs()[n] == pytest.approx(logs)


@pytest.mark.parametrize("keep", [0, 0.85])
def test_variances_stay_exact_over_many_frames(rng, keep):
    # An unsymmetric rounding error would have grown by 1e100 here.
    weights = np.where(rng.random((3000, 2)) < 0.3, 0, 1.0)
    precision, keep = np.full((2998, 2), 5.0), np.full(2, float(keep))
    differences = find_differences(np.arange(3000))
    whole = find_variances(weights, Motion(precision, keep, differences))
    part = find_variances(weights[:300], Motion(precision[:298], keep, differences[:298]))
    assert np.allclose(whole[:200], part[:200], rtol=1e-6)


@pytest.mark.parametrize("keep", [0, 0.85])
def test_bodies_are_solved_as_dense_ones(rng, keep):
    f, i, k = 70, 2, 3
    points = 10 * rng.normal(size=(f, i, k, 3))
    slopes = rng.normal(size=(f, i, k, 4, 3))
    information = np.einsum("fikaj,fikal->fikjl", slopes, slopes)
    information[5:8, 0] = 0
    pull = np.einsum("fikjl,fikl->fikj", information, points)
    precision = rng.uniform(0.1, 1, (f - 2, i, k))
    ends = np.array([[0, 1], [2, 1]])
    bars = Bars(ends, rng.uniform(5, 9, (i, 2)), rng.uniform(1, 4, (f, i, 2)))
    solved, factor = solve_bodies(
        information,
        pull,
        points=points,
        inside=np.ones((f, i, k), bool),
        motion=Motion(precision, np.full((i, k), float(keep)), find_differences(np.arange(f))),
        bars=bars,
    )
    covariance = find_covariance(factor, k)
    for who in range(i):
        dense, right = np.zeros((f, k, 3, f, k, 3)), pull[:, who].copy()
        for n in range(k):
            motion, _ = make_dense(np.arange(f), np.zeros(f), precision[:, who, n], keep)
            for axis in range(3):
                dense[:, n, axis, :, n, axis] += motion
        for t in range(f):
            for n in range(k):
                dense[t, n, :, t, n] += information[t, who, n]
            for e, (a, b) in enumerate(ends):
                along = points[t, who, a] - points[t, who, b]
                row = np.zeros((k, 3))
                row[a] = along / np.linalg.norm(along)
                row[b] = -row[a]
                held = bars.precision[t, who, e]
                dense[t, :, :, t] += held * row[:, :, None, None] * row
                right[t] += held * bars.length[who, e] * row
        dense = dense.reshape(f * k * 3, -1)
        expected = np.linalg.solve(dense, right.ravel()).reshape(f, k, 3)
        inverse = np.linalg.inv(dense).reshape(f, k, 3, f, k, 3)
        assert np.allclose(solved[:, who], expected, atol=1e-9)
        for t in (0, 6, f - 1):
            for n in range(k):
                assert np.allclose(covariance[t, who, n], inverse[t, n, :, t, n], atol=1e-12)


def test_band_inverse_keeps_only_the_blocks_asked_for(rng):
    factor = np.zeros((13, 1, 12))  # two unconnected blocks of six unknowns
    lower = np.tril(rng.normal(size=(6, 6))) + 3 * np.eye(6)
    for r in range(6):
        factor[r, 0, : 6 - r] = factor[r, 0, 6 : 12 - r] = np.diag(lower, -r)
    inverse = np.linalg.inv(lower @ lower.T)
    found = invert_band(factor, 6, part=2)
    assert found.shape == (2, 1, 3, 2, 2)
    for n in range(3):
        part = slice(2 * n, 2 * n + 2)
        assert np.allclose(found[:, 0, n], inverse[part, part])


def test_segments_end_with_what_is_known():
    frames = np.array([0, 1, 2, 3, 4, 5, 6, 10, 11])
    known = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1], bool)[:, None]
    assert find_segments(frames, known, 2)[:, 0].tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 1]
    assert find_segments(frames, known, 6)[:, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1]
    assert find_segments(frames, known, 0)[:, 0].tolist() == known[:, 0].tolist()
    assert not find_segments(frames, np.zeros((9, 1), bool), 5).any()
    links = find_links(find_segments(frames, known, 2))
    assert links[:, 0].tolist() == [0, 1, 1, 0, 0, 0, 0]


def test_windows_cover_every_frame_once():
    for count in (1, 50, 2000, 2101, 7000):
        inner = [range(count)[b] for _, b in cut_windows(count, 50)]
        assert [t for part in inner for t in part] == list(range(count))
        for outer, part in cut_windows(count, 50):
            assert outer.start == max(part.start - 100, 0)
            assert outer.stop == min(part.stop + 100, count)


def make_walk(rng, frames=1000, noise=1.0):
    """Rest, then walk in bends, then rest: points (F, 1, 3) and the same with noise."""
    turn = np.cumsum(rng.normal(0, 0.15, frames))
    speed = np.where((np.arange(frames) // 250) % 2 == 1, 4.0, 0.0)
    speed = np.convolve(speed, np.full(5, 0.2), "same")
    step = np.stack([np.cos(turn), np.sin(turn), 0.2 * np.sin(3 * turn)], -1) * speed[:, None]
    truth = np.cumsum(step, 0)[:, None]
    return truth, truth + rng.normal(0, noise, truth.shape)


def estimate(values, weights, lasting=(False,)):
    inside = np.ones(values.shape[:2], bool)
    return estimate_process_noise(
        values,
        weights,
        inside=inside,
        frames=np.arange(len(values)),
        lasting=np.array(lasting),
    )


def test_roughness_follows_activity(rng):
    truth, values = make_walk(rng)
    found = estimate(values, np.ones_like(values))
    rest, walk = found.motion.precision[50:200, 0], found.motion.precision[300:450, 0]
    assert np.median(rest) > 2 * np.median(walk)
    error = np.linalg.norm(found.smooth - truth, axis=-1)[:, 0]
    before = np.linalg.norm(values - truth, axis=-1)[:, 0]
    assert error[20:230].mean() < 0.4 * before[20:230].mean()  # resting: averaged over many
    assert error[280:480].mean() < 0.9 * before[280:480].mean()
    moved = np.linalg.norm(np.diff(truth[280:480, 0], axis=0), axis=-1).sum()
    kept = np.linalg.norm(np.diff(found.smooth[280:480, 0], axis=0), axis=-1).sum()
    assert 0.97 < kept / moved < 1.05  # walking: nothing is cut off


def test_roughness_finds_that_swings_last(rng):
    t = np.arange(600) / 30
    swing = 30 * np.stack([np.sin(7 * t), np.cos(5 * t), np.sin(4 * t + 1)], -1)[:, None]
    values = swing + rng.normal(size=swing.shape)
    found = estimate(values, np.ones_like(values))
    assert found.motion.keep[0] > 0
    error = np.linalg.norm(found.smooth - swing, axis=-1)
    assert np.median(error) < 0.5 * np.median(np.linalg.norm(values - swing, axis=-1))
    _, still = make_walk(rng)
    assert estimate(still, np.ones_like(still)).motion.keep[0] == 0


def test_roughness_believes_that_errors_last_only_if_told(rng):
    truth, values = make_walk(rng, noise=0.2)
    drift = np.cumsum(rng.normal(0, 0.1, truth.shape), 0)
    drift *= 2 / drift.std()
    weights = np.full_like(values, 1 / (2**2 + 0.2**2))  # what the views disagree by
    assert estimate(values + drift, weights).share[0] == 1
    assert estimate(values + drift, weights, lasting=[True]).share[0] <= 0.1
    white = truth + rng.normal(0, 2, truth.shape)
    assert estimate(white, weights, lasting=[True]).share[0] >= 0.8


def test_persistence_tells_white_from_lasting_noise(rng):
    white = rng.normal(size=(2, 4, 1000, 3))
    used = rng.random((4, 1000, 3)) < 0.8
    assert (find_persistence(white, used) < 0.05).all()
    lasting = np.repeat(white[:, :, ::10], 10, axis=2)
    assert (find_persistence(lasting, used) > 0.8).all()


def test_bones_are_learned_and_let_go_of(rng):
    frames, ends = 400, np.array([[0, 1], [1, 2]])
    truth = np.zeros((frames, 1, 3, 3))
    truth[:, 0, 1, 0] = 20.0
    truth[:, 0, 2, 0] = 50.0
    truth[150:200, 0, 2, 0] = 40.0  # the second bone is bent for a while
    noise = 0.5
    points = truth + rng.normal(0, noise, truth.shape)
    variances = np.full(truth.shape, noise**2)
    bones = learn_bones(points, variances, ends)
    assert bones.length[0] == pytest.approx([20, 30], abs=0.3)
    assert bones.spread[0, 0] < 0.5 < bones.spread[0, 1]
    held = hold_bones(points, variances, bones=bones, memory=np.ones((1, 3)))
    assert held.shape == (frames, 1, 2)
    assert np.median(held[155:195, 0, 1]) < 0.2 * np.median(held[:140, 0, 1])
    few = learn_bones(points[:10], variances[:10], ends)
    assert np.isnan(few.length).all() and not len(few.firm)


def make_rod(rng, frames, *, drift=0.0, stretch=0.0):
    """A rod of 20 along x, the second end with errors that last, or that is stretched."""
    points = np.zeros((frames, 1, 2, 3))
    slow = np.sin(np.arange(frames) / frames * 2 * np.pi)
    points[:, 0, 1, 0] = 20 + (drift + stretch) * slow
    return points + rng.normal(0, 0.01, points.shape), np.full(points.shape, drift**2 / 2 + 1e-4)


def test_few_looks_at_a_bone_do_not_make_it_loose(rng):
    """Errors that last pretend that a bone varies; seen once, that says little."""
    ends = np.array([[0, 1]])
    points, variances = make_rod(rng, 100, drift=1.5)
    assert np.std(points[:, 0, 1, 0]) > 1
    assert learn_bones(points, variances, ends).spread[0, 0] < 0.5
    # What is more than the points err by is the bone's own, all the more if it is seen often.
    points, variances = make_rod(rng, 100, stretch=1.5)
    assert learn_bones(points, variances, ends).spread[0, 0] > 0.6
    again = np.concatenate([rng.permutation(points) for _ in range(4)])
    spread = learn_bones(again, variances[:1].repeat(400, 0), ends).spread[0, 0]
    assert spread == pytest.approx(1.5 / np.sqrt(2), rel=0.1)


def test_bone_of_an_animal_that_rests_varies_less_than_usual(rng):
    """What hardly changes is not let change just because it might be wrong as a whole."""
    points, variances = make_rod(rng, 100)
    bones = learn_bones(points, variances + 1.0, np.array([[0, 1]]))
    assert bones.spread[0, 0] == pytest.approx(0.003 * 20, rel=0.01)
    assert bones.harden().spread[0, 0] < bones.spread[0, 0] / 2
    assert len(bones.harden().firm) == 1


def test_exact_points_show_what_a_bone_varies_by(rng):
    points, variances = make_rod(rng, 200)
    points[:, 0, 1, 0] = rng.normal(20, 1, 200)
    spread = learn_bones(points, 0 * variances, np.array([[0, 1]])).spread[0, 0]
    assert spread == pytest.approx(1, rel=0.15)


def test_bones_are_not_let_go_of_for_noise(rng):
    """One frame that is off by what its points err by says nothing about the bone."""
    points, variances = make_rod(rng, 100)
    bones = learn_bones(points, variances, np.array([[0, 1]]))
    points[50, 0, 1, 0] += 1.0
    noisy, exact = (
        hold_bones(points, np.full(points.shape, v), bones=bones, memory=np.ones((1, 2)))[:, 0, 0]
        for v in (0.5, 1e-4)
    )
    assert noisy[50] > 0.8 * noisy[10]
    assert exact[50] < 0.2 * exact[10]


def test_bodies_are_what_bones_hold_together():
    groups = list(split_bodies(5, np.array([[0, 3], [3, 1]])))
    assert [g.tolist() for g in groups] == [[0, 1, 3], [2], [4]]
    assert [g.tolist() for g in split_bodies(2, np.zeros((0, 2), int))] == [[0], [1]]


def test_views_are_decided_by_the_track():
    slopes = np.zeros((2, 3, 2, 4, 1))
    slopes[0, 0] = slopes[1, 1] = 1.0
    residual = np.zeros((2, 2, 4, 1))
    residual[0, 1] = [[2.0], [30.0], [30.0], [4.0]]
    variances = np.full((4, 1, 3), 0.5)
    variances[3] = 100.0
    chosen = np.array([[True] * 4, [True, True, True, False]])[..., None]
    settled = np.array([False, False, True, False])[:, None]
    used = decide_views(residual, slopes, variances=variances, chosen=chosen, agreed=settled)
    assert used[0].all()
    # Near: stays. Far: goes, unless the frame is sure of it. Not chosen, and the track unsure: out.
    assert used[1, :, 0].tolist() == [True, False, True, False]


def test_looks_are_counted_by_how_long_errors_last(rng):
    used = np.ones((3, 400, 3), bool)
    white = rng.normal(0, 1, (2, 3, 400, 3))
    same = rng.normal(0, 1, (2, 3, 1, 3)) + 0 * white
    mixed = 2 * same + white
    assert (count_looks(white, used) > 0.8).all()
    np.testing.assert_allclose(count_looks(same, used) * 400, 1, atol=0.3)
    # Noise on top of what lasts does not make it many looks.
    assert (count_looks(mixed, used) * 400 < 6).all()


def _see(scene, rng, spread, bias=0.0, keypoint=0):
    """Views with noise of its own for each keypoint, and one seen elsewhere by each camera."""
    views, truth = {}, scene.truth_3d()
    for name in scene.cameras.names:
        view = scene.truth(name)
        array = view.array.copy()
        array[..., :2] = scene.cameras[name].project(truth.points.astype(float))
        array[..., :2] += rng.normal(0, 1, array[..., :2].shape) * spread[:, None]
        angle = rng.uniform(0, 2 * np.pi)
        array[:, :, keypoint, :2] += bias * np.array([np.cos(angle), np.sin(angle)])
        array[..., 2] = 1
        views[name] = replace(view, array=array)
    return views


def _hold(found, truth):
    """Share of each keypoint's points that its 95 % region holds, (K,)."""
    off = found.points[:, 0] - truth.points[:, 0]
    covariance = found.covariance[:, 0].astype(float)
    there = np.isfinite(off).all(-1)
    covariance[~there], off[~there] = np.eye(3), 0
    square = np.einsum("fki,fkij,fkj->fk", off, np.linalg.inv(covariance), off)
    return ((square < 7.815) & there).sum(0) / there.sum(0)


def test_one_view_that_disagrees_is_told_from_views_that_all_do(rng):
    scene = make_scene(1, 60, seed=5, cameras=5)
    truth = scene.truth_3d().points[:, 0].astype(float)
    pixels = scene.cameras.project(truth) + rng.normal(0, 1, (5, *truth.shape[:2], 2))
    pixels[2, :, 3] += [5, -4]
    pixels[:, :, 4] += rng.normal(0, 4, (5, 1, 2))
    recording = Recording(scene.cameras, np.arange(60), pixels)
    evidence = recording.gather(slice(None), np.ones((5, truth.shape[1])))
    alone = find_lone_views(evidence, truth, np.ones(pixels.shape[:3], bool))
    assert alone.tolist() == [k == 3 for k in range(truth.shape[1])]


@pytest.mark.parametrize("smooth", [True, False])
def test_a_keypoint_five_times_less_exact_has_a_region_of_its_own(smooth, rng):
    scene = make_scene(1, 400, seed=2, cameras=4)
    spread = np.ones(len(scene.skeleton.keypoints))
    spread[5] = 5
    found = triangulate(_see(scene, rng, spread), scene.cameras, smooth=smooth).poses
    truth = scene.truth_3d()
    # None of it is left out, but for what is further off than three times its own noise.
    assert np.isfinite(found.points).all(-1).mean(0).min() > 0.99
    inside = _hold(found, truth)
    # 29 % and 2 % while all keypoints had one noise.
    assert 0.91 < inside[5] < 0.985 and 0.93 < np.delete(inside, 5).mean() < 0.975


def test_a_keypoint_that_each_camera_sees_elsewhere_is_not_worse_than_all_views_give(rng):
    scene = make_scene(1, 60, seed=5, cameras=8)
    k = scene.skeleton.keypoints.index("tail_base")
    spread = np.full(len(scene.skeleton.keypoints), 1.5)
    views = _see(scene, rng, spread, bias=7, keypoint=k)
    truth = scene.truth_3d().points[:, 0, k]
    pixels = np.stack([view.points[:, 0, k] for view in views.values()])
    plain = np.linalg.norm(scene.cameras.triangulate(pixels, robust=False).points - truth, axis=1)
    for smooth in (True, False):
        found = triangulate(views, scene.cameras, smooth=smooth).poses
        off = np.linalg.norm(found.points[:, 0, k] - truth, axis=1)
        assert np.isfinite(off).all() and np.median(off) < 1.1 * np.median(plain)
    assert _hold(triangulate(views, scene.cameras).poses, scene.truth_3d())[k] > 0.9


@pytest.mark.parametrize("odd", [0.3, 8.0])
def test_errors_that_all_views_share_are_told_by_the_covariances_of_pixels(rng, odd):
    scene = make_scene(1, 300, seed=5, cameras=3)
    truth = scene.truth_3d()
    points = truth.points.astype(float)
    spots = lfilter([0.19**0.5], [1, -0.9], rng.normal(0, 1, points.shape), axis=0)
    views = {}
    for name in scene.cameras.names:
        view = scene.truth(name)
        project = scene.cameras[name].project
        off = project(points + 3 * spots) - project(points)
        # One view may see worse than its covariances say: it does not hide what all have in common.
        noise = odd if name == scene.cameras.names[-1] else 0.3
        pixels = project(points) + off + rng.normal(0, noise, off.shape)
        array = np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], -1).astype(np.float32)
        told = np.eye(2, dtype=np.float32) * ((off**2).mean() + 0.3**2)
        covariance = np.broadcast_to(told, (*array.shape[:-1], 2, 2))
        views[name] = replace(view, array=array, covariance=covariance)
    inside = _hold(triangulate(views, scene.cameras).poses, truth).mean()
    # 0.5 % by what the views disagree by.
    assert 0.9 < inside < 0.99
