"""How well two cameras agree when the frames of one are shifted against the other's.

With a calibration: animals seen at the same moment lie on each other's epipolar lines. Without:
they move and rest at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from calibration.arrays import Floats, Ints
from calibration.camera import Camera
from calibration.synchronization.clocks import Agreement

# Frames are looked at in runs, because errors of neighbours are alike and only what changes
# within a run tells the time.
_RUN = 20
_BLOCKS = 20
# Numbers in the residuals of one pair at one shift: 2,000 frames of one animal of 12 keypoints,
# 150 of four. More frames made no answer better on scenes of 3,000 frames.
_BUDGET = 30_000
_FEWEST_RUNS = 40
# More ways than this to pair individuals are not tried; each then takes its nearest.
_WAYS = 120
# Fewer distances than these tell no width; a width in px below which labels are not that good.
_FEWEST = 30
_FINEST = 0.3


def compare_rays(
    cameras: Sequence[Camera],
    pixels: Sequence[Floats],
    pairs: Ints,
    *,
    reach: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Agreement:
    """Find how well rays meet, for pairs of cameras at every shift.

    Parameters
    ----------
    cameras : sequence of Camera
        The V cameras.
    pixels : sequence of float64, (F, I, K, 2)
        What each camera saw; I may differ. NaN = missing.
    pairs : int64, (P, 2)
        Numbers of the cameras to compare.
    reach : int
        Largest shift, frames.
    on_progress : callable, optional
        Told (pairs done, pairs).

    Returns
    -------
    Agreement
        Gain of a keypoint: 1 where the rays meet, 1/2 at one standard deviation of the
        innovation of the epipolar distance, near 0 far off.
    """
    planes = [_add_one(_flatten(c, p)) for c, p in zip(cameras, pixels, strict=True)]
    speeds = [find_speeds(p) for p in pixels]
    results = []
    for done, (a, b) in enumerate(pairs.tolist()):
        matcher = _Matcher(cameras[a], cameras[b], planes[a], planes[b])
        rows = _pick_rows(speeds[a], _count(pixels[a], pixels[b]))
        results.append(_find_curves(matcher, rows, reach))
        if on_progress is not None:
            on_progress(done + 1, len(pairs))
    gain, weight = np.stack(results, axis=1)
    return Agreement(pairs, gain, weight, len(cameras))


def compare_motion(pixels: Sequence[Floats], pairs: Ints, *, reach: int) -> Agreement:
    """Find how well the speeds of everything seen go together, for pairs at every shift.

    Parameters
    ----------
    pixels : sequence of float64, (F, I, K, 2)
        What each camera saw; neither I nor K need be the same. NaN = missing.
    pairs : int64, (P, 2)
        Numbers of the cameras to compare.
    reach : int
        Largest shift, frames.

    Returns
    -------
    Agreement
        Gain: product of the standardised logarithms of speed.
    """
    profiles = [_standardise(find_speeds(p)) for p in pixels]
    n_frames = len(profiles[0])
    block = _find_blocks(n_frames)
    shape = (len(pairs), int(block[-1]) + 1, 2 * reach + 1)
    gain, weight = np.zeros(shape), np.zeros(shape)
    for p, (a, b) in enumerate(pairs.tolist()):
        late = np.pad(profiles[b], reach, constant_values=np.nan)
        for column in range(2 * reach + 1):
            product = profiles[a] * late[column : column + n_frames]
            there = np.isfinite(product)
            gain[p, :, column] = np.bincount(block[there], product[there], shape[1])
            weight[p, :, column] = np.bincount(block[there], minlength=shape[1])
    return Agreement(pairs, gain, weight, len(pixels))


def find_speeds(pixels: Floats) -> Floats:
    """Find how much moves in a view, frame by frame.

    Parameters
    ----------
    pixels : float64, (F, I, K, 2)
        An individual keeps its place from frame to frame; NaN = missing.

    Returns
    -------
    float64, (F,)
        Sum over individuals of the median speed of their keypoints, px per frame, from
        differences over two frames; NaN where nobody is seen.
    """
    speed = np.full((len(pixels), *pixels.shape[1:3]), np.nan)
    speed[1:-1] = np.linalg.norm(pixels[2:] - pixels[:-2], axis=-1) / 2
    there = np.isfinite(speed)
    # Medians over keypoints without those that are missing: they are sorted to the end.
    count = there.sum(-1)
    ordered = np.sort(speed, axis=-1)
    middle = np.maximum(count - 1, 0)[..., None] // 2
    median = np.take_along_axis(ordered, middle, -1)[..., 0]
    return np.where(count.any(-1), np.where(count > 0, median, 0.0).sum(-1), np.nan)


def _standardise(speed: Floats) -> Floats:
    """Make speeds (F,) comparable between views: logarithms with mean 0 and variance 1."""
    seen = speed[np.isfinite(speed)]
    if not len(seen) or np.ptp(seen) == 0:
        return np.full(len(speed), np.nan)
    # Below a tenth of the median, differences are the detector's noise.
    logarithm = np.log(speed + 0.1 * np.median(seen) + 1e-3)
    logarithm -= np.nanmean(logarithm)
    return np.asarray(np.clip(logarithm / np.nanstd(logarithm), -3, 3))


def _flatten(camera: Camera, pixels: Floats) -> Floats:
    """Undistort pixels (F, I, K, 2), asking only for those that are there."""
    plane = np.full(pixels.shape, np.nan)
    there = np.isfinite(pixels).all(-1)
    plane[there] = camera.undistort(pixels[there])
    return plane


def _add_one(plane: Floats) -> Floats:
    return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)


def find_essential(a: Camera, b: Camera) -> Floats:
    """Find the essential matrix of two cameras, with a baseline of length 1.

    Parameters
    ----------
    a, b : Camera
        Their rays xa and xb to one point fulfil xb' E xa = 0.

    Returns
    -------
    float64, (3, 3)

    References
    ----------
    Longuet-Higgins 1981 (Nature 293:133).
    """
    rotation = b.rotation_matrix @ a.rotation_matrix.T
    x, y, z = b.translation - rotation @ a.translation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(cross @ rotation / max(float(np.hypot(np.hypot(x, y), z)), 1e-12))


class _Matcher:
    """Epipolar distances in px between everything that two cameras saw, at any shift."""

    def __init__(self, a: Camera, b: Camera, rays_a: Floats, rays_b: Floats) -> None:
        essential = find_essential(a, b)
        self.rays_b = rays_b
        self.lines = rays_a @ essential.T
        back = rays_b @ essential
        # Sampson's distance to first order: the residual over its gradient by all pixels.
        self.slope_a = (self.lines[..., :2] ** 2).sum(-1) / b.focal**2
        self.slope_b = (back[..., :2] ** 2).sum(-1) / a.focal**2
        self.seen_a = np.isfinite(rays_a[..., 0]).sum((1, 2))
        self.seen_b = np.isfinite(rays_b[..., 0]).sum((1, 2))
        self.width = float(max(b.size))

    def find_distances(self, rows: Ints, shift: int) -> tuple[Floats, Floats]:
        """Find distances (T, I, J, K) of frames ``rows`` of a to ``rows + shift`` of b.

        Also gives the largest possible number of comparisons of each frame (T,).
        """
        late = rows + shift
        inside = (late >= 0) & (late < len(self.rays_b))
        late = np.where(inside, late, 0)
        lines, rays = self.lines[rows][:, :, None], self.rays_b[late][:, None]
        residual = lines[..., 0] * rays[..., 0]
        residual += lines[..., 1] * rays[..., 1]
        residual += lines[..., 2] * rays[..., 2]
        slope = self.slope_a[rows][:, :, None] + self.slope_b[late][:, None]
        distance = residual / np.sqrt(np.maximum(slope, 1e-30))
        distance[~inside] = np.nan
        possible = np.minimum(self.seen_a[rows], self.seen_b[late]) * inside
        return distance, possible.astype(np.float64)


def _count(a: Floats, b: Floats) -> int:
    return int(a.shape[1] * b.shape[1] * a.shape[2])


def _pick_rows(speed: Floats, numbers: int) -> Ints:
    """Pick runs of frames (R, `_RUN`) in which much moves, spread over the recording."""
    n_runs = max(len(speed) // _RUN, 1)
    length = min(_RUN, len(speed))
    rows = np.arange(n_runs * length).reshape(n_runs, length)
    wanted = max(_BUDGET // (numbers * _RUN), _FEWEST_RUNS)
    if n_runs > wanted:
        moved = np.nan_to_num(speed[rows]).mean(1)
        kept = [
            part[np.argsort(-moved[part])[: max(wanted // _BLOCKS, 1)]]
            for part in np.array_split(np.arange(n_runs), _BLOCKS)
        ]
        rows = rows[np.sort(np.concatenate(kept))]
    return rows


def _find_blocks(n_frames: int) -> Ints:
    """Find the block (F,) of each frame; a block has at least ten frames."""
    n_blocks = int(np.clip(n_frames // 10, 1, _BLOCKS))
    return np.arange(n_frames) * n_blocks // n_frames


def _find_curves(matcher: _Matcher, rows: Ints, reach: int) -> tuple[Floats, Floats]:
    """Find gain and weight (B, L) of a pair."""
    block = _find_blocks(len(matcher.seen_a))
    n_blocks = int(block[-1]) + 1
    shifts = np.arange(-reach, reach + 1)
    # First a wide gate, to find about where the peak is; then the width of the errors there.
    n_keypoints = matcher.lines.shape[2]
    noise = _Noise(np.full(n_keypoints, 0.01 * matcher.width), np.zeros(n_keypoints))
    for last in (False, True):
        # A third of a long recording tells where the peak is.
        runs = rows if last or len(rows) < 12 else rows[::3]
        gain, weight = np.zeros((2, n_blocks, len(shifts)))
        for column, shift in enumerate(shifts):
            gained, possible = _find_gains(matcher, runs, int(shift), noise)
            gain[:, column] = np.bincount(block[runs.ravel()], gained.ravel(), n_blocks)
            weight[:, column] = np.bincount(block[runs.ravel()], possible.ravel(), n_blocks)
        if not last:
            noise = _learn_noise(matcher, rows, int(shifts[_find_peak(gain, weight)]), noise)
    return gain, weight


def _find_peak(gain: Floats, weight: Floats) -> int:
    total = weight.sum(0)
    enough = total > 0.2 * total.max()
    return int(np.where(enough, gain.sum(0) / np.maximum(total, 1), -1).argmax())


@dataclass(frozen=True)
class _Noise:
    """Errors of epipolar distances: how wide, and how alike from one frame to the next (K,)."""

    scale: Floats
    memory: Floats


def _match_frames(
    matcher: _Matcher, rows: Ints, shift: int, scale: Floats
) -> tuple[Floats, Floats, Floats]:
    """Find distances (R, T, N, K) of N pairs of individuals, less what is constant.

    Also gives the distances of the same pairs one frame before, and the largest possible number
    of comparisons (R, T).
    """
    distance, possible = matcher.find_distances(rows.ravel(), shift)
    if distance.shape[1] > distance.shape[2]:
        distance = np.swapaxes(distance, 1, 2)
    gain = np.nan_to_num(1 / (1 + (distance / scale) ** 2)).sum(-1)
    partner = _pair_up(gain).reshape(*rows.shape, -1)
    distance = distance.reshape(*rows.shape, *distance.shape[1:])
    now = _take_pairs(distance, partner)
    before = np.full_like(now, np.nan)
    before[:, 1:] = _take_pairs(distance[:, :-1], partner[:, 1:])
    # Labels of one keypoint differ between views, and calibrations are never perfect: what
    # is constant in time says nothing about time.
    middle = _find_medians(now)
    return now - middle, before - middle, possible.reshape(rows.shape)


def _take_pairs(distance: Floats, partner: Ints) -> Floats:
    """Take of distances (R, T, I, J, K) those with the partners (R, T, I)."""
    taken = np.take_along_axis(distance, partner[..., None, None], axis=3)
    return np.asarray(taken[..., 0, :])


def _find_medians(values: Floats) -> Floats:
    """Find medians (K,) over all but the last axis without NaN; 0 where all is NaN."""
    flat = np.sort(values.reshape(-1, values.shape[-1]), axis=0)
    count = np.isfinite(flat).sum(0)
    middle = flat[np.maximum(count - 1, 0) // 2, np.arange(flat.shape[1])]
    return np.asarray(np.nan_to_num(middle))


def _find_gains(matcher: _Matcher, rows: Ints, shift: int, noise: _Noise) -> tuple[Floats, Floats]:
    """Find gain and possible comparisons of each frame, both (R, T)."""
    now, before, possible = _match_frames(matcher, rows, shift, noise.scale)
    # What the frame before did not let expect; where there is none, as wide on average.
    narrow = np.sqrt(1 - noise.memory**2)
    step = now - noise.memory * before
    fresh = np.where(np.isfinite(step), step, now * narrow)
    gain = np.nan_to_num(1 / (1 + (fresh / (noise.scale * narrow)) ** 2))
    return gain.sum((2, 3)), possible


def _learn_noise(matcher: _Matcher, rows: Ints, shift: int, noise: _Noise) -> _Noise:
    """Learn width and memory of the errors at the shift that fits best."""
    now, before, _ = _match_frames(matcher, rows, shift, noise.scale)
    scale, n_seen = _find_widths(now)
    step, _ = _find_widths(now - before)
    known = (n_seen >= _FEWEST) & (scale > 0) & (step > 0)
    if not known.any():
        return noise
    # Var(r(t) - r(t-1)) = 2 (1 - memory) Var(r) of a process of first order.
    ratio = np.divide(step, scale, out=np.full(len(scale), np.sqrt(2)), where=known)
    memory = np.clip(1 - 0.5 * ratio**2, 0, 0.98)
    scale = np.where(known, scale, np.median(scale[known]))
    return _Noise(np.maximum(scale, _FINEST), memory)


def _find_widths(values: Floats) -> tuple[Floats, Floats]:
    """Find the standard deviation (K,) that the median size of normal errors would tell.

    Also gives how many there are (K,).
    """
    count = np.isfinite(values).sum(tuple(range(values.ndim - 1)))
    return 1.4826 * _find_medians(np.abs(values)), count


def _pair_up(gain: Floats) -> Ints:
    """Give each individual i of T frames a partner (T, I), for the largest sum of gains (T, I, J).

    With too many ways to do that, each takes the one that suits it best.
    """
    n_rows, n_columns = gain.shape[1:]
    ways = np.array(list(_list_ways(n_columns, n_rows)), np.int64)
    if len(ways) > _WAYS:
        return np.asarray(gain.argmax(-1), np.int64)
    totals = gain[:, np.arange(n_rows), ways].sum(-1)
    return np.asarray(ways[totals.argmax(-1)])


def _list_ways(n: int, chosen: int) -> Iterator[tuple[int, ...]]:
    """List the ways to choose in order, and stop when there are too many."""
    for number, way in enumerate(permutations(range(n), chosen)):
        if number > _WAYS:
            return
        yield way
