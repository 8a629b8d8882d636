"""Where one camera stands now, from what the others saw, and since when it does so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.arrays import Bools, Floats, Ints
from calibration.camera import Camera
from calibration.projection import differentiate_projection
from calibration.rotations import turn

#: Parts of a recording that are looked at on their own, and points that each needs.
N_PARTS = 10
FEWEST = 20
#: A shift is clear above this many standard deviations; these hold errors that keypoints or
#: times share, from eight or ten parts only (tests/benchmarks/benchmark_selfcalibration.py).
CLEARLY = 5.0
_STEPS = 15
# Tukey's limit in standard deviations.
_LIMIT = 5.0
# Stiffness with which a camera is held where it stood, relative to what each parameter alone
# would be known to: it gives way wherever pixels tell.
_HELD = 1e-3
# A movement within the recording leaves less than this share of the shift before it.
_BEFORE = 0.4
# ... and differs by this many standard deviations of the parts on either side.
_STEP = 4.0


@dataclass(frozen=True)
class Target:
    """What one camera should see, by what the others saw.

    Parameters
    ----------
    points : float64, (N, 3)
        World points, from the other cameras alone.
    covariance : float64, (N, 3, 3)
        Of them, for pixels with a standard deviation of 1.
    pixels : float64, (N, 2)
        What it saw.
    frame, group : int64, (N,)
        Row in time and group of keypoints.
    blind : bool
        Whether there is only one other camera, which tells no more than a line.
    """

    points: Floats
    covariance: Floats
    pixels: Floats
    frame: Ints
    group: Ints
    blind: bool

    def take(self, rows: Bools) -> Target:
        """Keep some points."""
        return Target(
            points=self.points[rows],
            covariance=self.covariance[rows],
            pixels=self.pixels[rows],
            frame=self.frame[rows],
            group=self.group[rows],
            blind=self.blind,
        )


@dataclass(frozen=True)
class Movement:
    """One camera set free: where it stands, and how its picture shifts at its points."""

    camera: Camera
    shift: float
    deviation: float
    noise: float
    seen: int
    over_time: Floats
    since: int

    def is_clear(self, least_shift: float) -> bool:
        """Tell whether the camera cannot stand where it stood."""
        return self.shift > least_shift and self.shift > CLEARLY * self.deviation


def find_movement(
    camera: Camera, target: Target, n_frames: int, *, since: int | None = None
) -> Movement:
    """Find where a camera stands now, how sure that is, and since when, if that is not known."""
    n_blocks = min(N_PARTS, n_frames)
    if len(target.points) < FEWEST:
        nothing = np.full(n_blocks, np.nan)
        return Movement(camera, np.nan, np.nan, np.nan, len(target.points), nothing, -1)
    block = target.frame * n_blocks // n_frames
    over_time = np.array(
        [_find_block_shift(camera, target.take(block == b)) for b in range(n_blocks)]
    )
    if since is None:
        first = _find_onset(over_time)
        since = first * n_frames // n_blocks
        if since > 0:
            placed, equations = resect(camera, target.take(target.frame >= since))
            around = (since - n_frames // n_blocks, since + n_frames // n_blocks)
            since = _find_moment(camera, placed, target, around, noise=equations.noise)
        found = _place(camera, target, over_time, since)
        # A step that is no larger than what parts of time differ by is none.
        if since == 0 or found.is_clear(0.0):
            return found
        since = 0
    return _place(camera, target, over_time, since)


def _place(camera: Camera, target: Target, over_time: Floats, since: int) -> Movement:
    """Find where a camera stands from a frame on, and how sure that is."""
    late = target.take(target.frame >= since)
    if len(late.points) < FEWEST:
        return Movement(camera, np.nan, np.nan, np.nan, len(late.points), over_time, since)
    placed, equations = resect(camera, late)
    shift = equations.find_shift(camera, placed, late)
    parts = np.arange(len(late.points)) * N_PARTS // len(late.points)
    deviation = max(equations.find_deviation(parts), equations.find_deviation(late.group))
    if since > 0:
        # Of a short piece of time its own parts do not tell what such pieces differ by: those
        # before it do, in which the camera stood where it was calibrated.
        share = len(over_time) * since / (int(target.frame.max()) + 1)
        before = over_time[: int(share)]
        before = before[np.isfinite(before)]
        if len(before):
            chance = np.sqrt((before**2).mean() / max(len(over_time) - share, 1))
            deviation = max(deviation, float(chance))
    return Movement(placed, shift, deviation, equations.noise, len(target.points), over_time, since)


def _find_moment(
    old: Camera, new: Camera, target: Target, around: tuple[int, int], *, noise: float
) -> int:
    """Find the frame before which the old place explains the pixels better, from it on the new."""
    costs = [
        np.minimum(
            np.nan_to_num(((c.project(target.points) - target.pixels) ** 2).sum(1), nan=np.inf),
            (_LIMIT * noise) ** 2,
        )
        for c in (old, new)
    ]
    first, last = around
    gains = np.bincount(target.frame, costs[0] - costs[1], minlength=last + 1)
    after = np.cumsum(gains[::-1])[::-1]  # won if the camera moved at this frame
    return first + int(np.argmax(after[first : last + 1]))


def _find_block_shift(camera: Camera, target: Target) -> float:
    if len(target.points) < FEWEST:
        return np.nan
    placed, equations = resect(camera, target)
    return equations.find_shift(camera, placed, target)


def _find_onset(over_time: Floats) -> int:
    """Find the part of time from which on shifts are large; 0 if they are alike throughout."""
    best, error = 0, np.inf
    for first in range(1, len(over_time)):
        before, after = over_time[:first], over_time[first:]
        before, after = before[np.isfinite(before)], after[np.isfinite(after)]
        if not len(before) or not len(after) or before.mean() > _BEFORE * after.mean():
            continue
        # One part that is off by chance is no movement.
        if after.mean() - before.mean() < _STEP * max(before.std(), after.std()):
            continue
        left = before.var() * len(before) + after.var() * len(after)
        if left < error:
            best, error = first, float(left)
    return best


def _find_size(shifts: Floats) -> float:
    """Find the root mean square length of displacements (N, 2), NaN left out."""
    squares = (shifts**2).sum(-1)
    squares = squares[np.isfinite(squares)]
    return float(np.sqrt(squares.mean())) if len(squares) else np.nan


@dataclass(frozen=True)
class Equations:
    """Whitened and weighted equations of six parameters of a pose, point by point.

    Parameters
    ----------
    rows : float64, (N, 2, 6)
        Derivatives.
    errors : float64, (N, 2)
        Seen less projected.
    slopes : float64, (N, 2, 6)
        Derivatives of the pixels themselves, unweighted.
    visible : float64, (N, 2, 2)
        What can be seen of a displacement: all of it, but of two cameras only what leads off
        the epipolar line.
    noise : float
        Standard deviation of a pixel coordinate.
    total : float64, (6,)
        Steps taken so far.
    """

    rows: Floats
    errors: Floats
    slopes: Floats
    visible: Floats
    noise: float
    total: Floats

    def find_shift(self, old: Camera, new: Camera, target: Target) -> float:
        """Find by how much the picture is displaced, px (root mean square)."""
        shifts = new.project(target.points) - old.project(target.points)
        return _find_size(np.einsum("nij,nj->ni", self.visible, shifts))

    def solve(self) -> Floats:
        """Find the step (6,)."""
        normal, right = self._sum(self.rows), np.einsum("nij,ni->j", self.rows, self.errors)
        return self._solve(normal, right)

    def find_deviation(self, part: Ints) -> float:
        """Find the standard deviation of the shift, px, by leaving out each part in turn."""
        labels, part = np.unique(part, return_inverse=True)
        if len(labels) < 4:
            return 0.0
        normals = np.zeros((len(labels), 6, 6))
        rights = np.zeros((len(labels), 6))
        np.add.at(normals, part, np.einsum("nij,nik->njk", self.rows, self.rows))
        np.add.at(rights, part, np.einsum("nij,ni->nj", self.rows, self.errors))
        steps = np.stack(
            [
                self._solve(normals.sum(0) - normal, rights.sum(0) - right)
                for normal, right in zip(normals, rights, strict=True)
            ]
        )
        steps -= steps.mean(0)
        metric = self._sum(self.visible @ self.slopes) / len(self.slopes)
        n = len(labels)
        return float(np.sqrt((n - 1) / n * np.einsum("gi,ij,gj->", steps, metric, steps)))

    @staticmethod
    def _sum(rows: Floats) -> Floats:
        return np.asarray(np.einsum("nij,nik->jk", rows, rows))

    def _solve(self, normal: Floats, right: Floats) -> Floats:
        """Solve for a step, and move no more than the pixels ask for.

        Where they hardly tell one movement from another, such as of two cameras the distance
        between them, the smaller one is taken.
        """
        held = _HELD * np.diag(np.maximum(np.diag(normal), 1e-300))
        return np.asarray(np.linalg.solve(normal + held, right - held @ self.total))


def resect(camera: Camera, target: Target) -> tuple[Camera, Equations]:
    """Find where a camera stands from what it should see, robustly."""
    total = np.zeros(6)
    equations = _set_up(camera, target, total)
    for _ in range(_STEPS):
        step = equations.solve()
        total = total + step
        camera = replace(
            camera,
            rotation=turn(step[:3]) @ camera.rotation_matrix,
            translation=camera.translation + step[3:],
        )
        equations = _set_up(camera, target, total)
        if _find_size(equations.slopes @ step) < 0.01:
            break
    return camera, equations


def _set_up(camera: Camera, target: Target, total: Floats) -> Equations:
    found = differentiate_projection(camera, target.points)
    errors = target.pixels - found.pixels
    spread = found.by_point @ target.covariance @ np.swapaxes(found.by_point, 1, 2) + np.eye(2)
    # Whitened: an error along a direction in which the others do not tell counts little.
    inverse = np.linalg.inv(np.linalg.cholesky(np.nan_to_num(spread) + 1e-12 * np.eye(2)))
    white = np.einsum("nij,nj->ni", inverse, errors)
    squares = (white**2).sum(1)
    there = np.isfinite(squares)
    # Where nothing is left to compare, as behind the camera, there is no step either.
    typical = float(np.median(squares[there])) if there.any() else 0.0
    noise = max(float(np.sqrt(typical / (2 * np.log(2)))), 1e-6)
    share = np.where(there, squares, np.inf) / (_LIMIT * noise) ** 2
    root = np.maximum(1 - np.minimum(share, 1), 0)
    rows = np.nan_to_num(inverse @ found.by_pose) * root[:, None, None]
    return Equations(
        rows=rows,
        errors=np.nan_to_num(white) * root[:, None],
        slopes=np.nan_to_num(found.by_pose),
        visible=inverse if target.blind else np.broadcast_to(np.eye(2), inverse.shape),
        noise=noise,
        total=total,
    )
