"""Correct where animals are expected by what the cameras see of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.multiview.matching.likelihood import Comparison, Scales, find_gains
from mapose.multiview.matching.observations import Frame
from mapose.multiview.matching.tracks3d import Bodies

#: Keypoints of a body err together: together they do not tell more of its place than so many.
_INDEPENDENT = 3.0
#: Frames in which an animal was seen before anything is learned from it.
_SETTLED = 3


@dataclass(frozen=True)
class Matched:
    """What is seen of every track in every view: axes V, T, K; nothing where not matched."""

    common: Bools  # (V, T, K)
    across: Floats  # (V, T, K, 2, 3), pixels per unit of the world
    error: Floats  # (V, T, K, 2), px
    spread: Floats  # (V, T, K, 3), px²
    noise: Floats  # (V, T, K), variance of what is seen, px²


def _pick(frame: Frame, compared: Comparison, slots: Ints, scales: Scales) -> Matched:
    v, t = np.indices(slots.shape)
    common = compared.common[v, t, slots] & (slots >= 0)[..., None]
    scale = np.where(common, compared.scale[v, t, slots], 0)
    return Matched(
        common=common,
        across=frame.axes[v, slots][..., :2, :] * scale[..., None, None],
        error=compared.error[v, t, slots],
        spread=compared.spread[v, t, slots],
        noise=frame.variance[v, slots] * (scales.noise**2)[:, None, None],
    )


def shift_bodies(
    frame: Frame, compared: Comparison, slots: Ints, *, bodies: Bodies, rest: Floats, scales: Scales
) -> None:
    """Move each body as one to where its cameras see it, in place.

    Parameters
    ----------
    frame, compared : Frame, Comparison
        Detections, and the tracks compared with them.
    slots : int64, (V, T)
        Detection of each track; -1 = none.
    bodies : Bodies
        The tracks.
    rest : float64, (V, T, S, K, 2)
        Errors after each view's own displacement: which keypoints to trust.
    scales : Scales
        Learns how surprising movements are.
    """
    seen = np.asarray((slots >= 0).any(0))
    if not seen.any():
        return
    matched = _pick(frame, compared, slots, scales)
    v, t = np.indices(slots.shape)
    mean = np.where(matched.common, matched.spread[..., [0, 2]].mean(-1), 1)
    share = min(1.0, _INDEPENDENT / mean.shape[-1])
    prior = np.eye(3) / bodies.motion[:, 0, 0][:, None, None]
    error = rest[v, t, slots]
    for _ in range(2):
        _, trust = find_gains(error, matched.spread, matched.common, scales.area)
        left, right = _add_up(share * trust / mean, matched)
        left, right = left.sum(1), right.sum(1)
        moved = np.linalg.solve(left + prior, right[..., None])[..., 0]
        error = matched.error - np.einsum("vtkab,tb->vtka", matched.across, moved)
    information = np.maximum(np.einsum("taa->t", left) / 3, 1e-12)
    steady = seen & (bodies.unseen == 1) & (bodies.hits > _SETTLED)
    if steady.any():
        # One camera alone leaves the depth open: then it has not moved along the line of sight.
        held = (1e-6 * information[steady])[:, None, None] * np.eye(3)
        free = np.linalg.solve(left[steady] + held, right[steady, :, None])[..., 0]
        expected = bodies.motion[steady, 0, 0] + 1 / information[steady]
        scales.learn_surprise((free**2).sum(-1) / expected)
    bodies.shift(seen, moved[seen], 1 / information[seen])
    views = (slots >= 0).sum(0)
    bodies.alone[views >= 2] = 0
    bodies.thin[views >= 3] = 0


def bend_bodies(
    frame: Frame,
    compared: Comparison,
    slots: Ints,
    *,
    bodies: Bodies,
    trust: Floats,
    scales: Scales,
) -> None:
    """Correct each keypoint by what its cameras see, in place.

    Parameters
    ----------
    frame, compared : Frame, Comparison
        Detections, and the shifted tracks compared with them.
    slots : int64, (V, T)
        Detection of each track; -1 = none.
    bodies : Bodies
        The tracks.
    trust : float64, (V, T, S, K)
        Probability that a keypoint is not a stray one.
    scales : Scales
        Learns noise and how much keypoints move about the body.
    """
    if not (slots >= 0).any():
        return
    v, t = np.indices(slots.shape)
    matched = _pick(frame, compared, slots, scales)
    weight = np.where(matched.common, trust[v, t, slots] / matched.noise, 0)
    left, right = _add_up(weight, matched)
    covariance = np.asarray(np.linalg.inv(np.linalg.inv(bodies.covariance) + left), np.float64)
    moved = np.einsum("tkbc,tkc->tkb", covariance, right)
    bodies.covariance = covariance
    bodies.points += moved
    after = matched.error - np.einsum("vtkab,tkb->vtka", matched.across, moved)
    # The fit has taken in a share of the error: what is left is smaller by that.
    half = np.einsum("vtkab,tkbc->vtkac", matched.across, covariance)
    fitted = np.einsum("vtkac,vtkac->vtk", half, matched.across) * weight
    off = (after**2).sum(-1) / np.clip(1 - 0.5 * fitted, 0.1, 1) / frame.variance[v, slots]
    for view in range(len(slots)):
        scales.learn_noise(view, np.sqrt(off[view][matched.common[view]]))
    settled = (bodies.hits > _SETTLED) & (bodies.unseen == 0)
    several = matched.common & ((matched.common.sum(0) >= 2) & settled[:, None])
    scales.learn_bend(_normalise(matched)[several])


def _add_up(weight: Floats, matched: Matched) -> tuple[Floats, Floats]:
    """Sum the normal equations of all views, (T, K, 3, 3) and (T, K, 3)."""
    views, tracks, keypoints = weight.shape
    across = matched.across.transpose(1, 2, 0, 3, 4).reshape(tracks, keypoints, 2 * views, 3)
    error = matched.error.transpose(1, 2, 0, 3).reshape(tracks, keypoints, 2 * views, 1)
    weighted = np.repeat(weight.transpose(1, 2, 0), 2, axis=-1)[..., None, :] * across.swapaxes(
        -1, -2
    )
    return weighted @ across, (weighted @ error)[..., 0]


def _normalise(matched: Matched) -> Floats:
    """Find squared errors over what was expected, (V, T, K)."""
    x, y = matched.error[..., 0], matched.error[..., 1]
    xx, xy, yy = (matched.spread[..., i] for i in range(3))
    size = np.where(matched.common, xx * yy - xy * xy, 1)
    return np.asarray((yy * x * x - 2 * xy * x * y + xx * y * y) / size)
