"""Target maps, drawn for a whole batch at once on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from mapose.grid import to_cells

#: Spread of a target peak and half the width of a limb, in cells of 4 input pixels or more. One
#: cell keeps two animals' noses apart at three cells.
_SPREAD, _LIMB = 1.0, 1.0
#: In smaller cells. With one such cell for both, a network for two flies with 13 keypoints was 19
#: px off after 700 steps, and 6 px with these (mean on frames not trained on).
_FINE_SPREAD, _FINE_LIMB = 1.5, 2.0


def draw_scores(points: Tensor, size: tuple[int, int], *, pitch: float) -> tuple[Tensor, Tensor]:
    """Draw scoremaps and offsets.

    Parameters
    ----------
    points : float (B, I, K, 2)
        Keypoints in input pixels; NaN = missing.
    size : (int, int)
        Rows and columns of the maps.
    pitch : float
        Input pixels per cell.

    Returns
    -------
    scores : float (B, K, H, W)
        A Gaussian of height 1 at every keypoint, cut off at 3 spreads; the highest counts.
    offsets : float (B, 2K, H, W)
        From the cell to the nearest keypoint of the channel, in cells; 0 where the score is 0.
    """
    cells = to_cells(points, pitch)
    gap_x = cells[..., 0, None] - torch.arange(size[1], device=points.device)
    gap_y = cells[..., 1, None] - torch.arange(size[0], device=points.device)
    # A Gaussian is the product of one in x and one in y: only the product is a full map.
    spread = _find_spread(pitch)
    high = _bell(gap_x, spread)[..., None, :] * _bell(gap_y, spread)[..., :, None]
    scores, nearest = high.max(dim=1)
    offset_x = gap_x.transpose(1, 2).gather(2, nearest)
    offset_y = gap_y.permute(0, 2, 3, 1).gather(3, nearest)
    offsets = torch.stack([offset_x, offset_y], dim=2).flatten(1, 2)
    near = (scores > 0).repeat_interleave(2, dim=1)
    return scores, torch.where(near, offsets, 0.0)


def draw_fields(
    points: Tensor, edges: Tensor, size: tuple[int, int], *, pitch: float
) -> tuple[Tensor, Tensor]:
    """Draw part-affinity fields.

    Parameters
    ----------
    points : float (B, I, K, 2)
        Keypoints in input pixels; NaN = missing.
    edges : int64 (E, 2)
        Keypoints at the two ends of each limb.
    size : (int, int)
        Rows and columns of the maps.
    pitch : float
        Input pixels per cell.

    Returns
    -------
    fields : float (B, 2E, H, W)
        Unit vector from the first to the second end on the limb, 0 elsewhere; the mean where
        limbs of several individuals cross.
    on_limb : float (B, E, H, W)
        1 on a limb, 0 elsewhere.

    References
    ----------
    Cao et al. 2017 (CVPR), section 2.3.
    """
    cells = to_cells(points, pitch)
    start, end = cells[:, :, edges[:, 0]], cells[:, :, edges[:, 1]]
    limb = end - start
    length = limb.norm(dim=-1)
    unit = limb / length.clamp(min=1e-3)[..., None]
    x = torch.arange(size[1], device=points.device) - start[..., 0, None]
    y = torch.arange(size[0], device=points.device) - start[..., 1, None]
    along = unit[..., 0, None, None] * x[..., None, :] + unit[..., 1, None, None] * y[..., :, None]
    beside = unit[..., 0, None, None] * y[..., :, None] - unit[..., 1, None, None] * x[..., None, :]
    # A comparison with NaN is False: a limb with a missing end leaves no trace.
    reach = length[..., None, None]
    wide = _LIMB if pitch >= 4 else _FINE_LIMB
    on = (along >= -wide) & (along <= reach + wide) & (beside.abs() <= wide) & (reach > 0.1)
    count = on.sum(dim=1)
    unit = torch.nan_to_num(unit)
    total = torch.einsum("biehw,bied->bedhw", on.float(), unit)
    b, e = total.shape[:2]
    fields = total / count.clamp(min=1)[:, :, None]
    return fields.reshape(b, 2 * e, *size), (count > 0).float()


def draw_owners(
    points: Tensor, rows: Tensor, size: tuple[int, int], *, pitch: float
) -> tuple[Tensor, Tensor]:
    """Draw whose keypoint is nearest, for animals that are known by name.

    Parameters
    ----------
    points : float (B, I, K, 2)
        Keypoints in input pixels; NaN = missing.
    rows : int64 (N,)
        Where among the I animals each of those is that have a name.
    size : (int, int)
        Rows and columns of the maps.
    pitch : float
        Input pixels per cell.

    Returns
    -------
    owner : int64 (B, H, W)
        0 to N - 1.
    weight : float (B, H, W)
        As high as the peak of its keypoint, less that of the next animal's: where two cover each
        other nobody can tell.
    """
    cells = to_cells(points[:, rows], pitch)
    gap_x = cells[..., 0, None] - torch.arange(size[1], device=points.device)
    gap_y = cells[..., 1, None] - torch.arange(size[0], device=points.device)
    spread = _find_spread(pitch)
    high = _bell(gap_x, spread)[..., None, :] * _bell(gap_y, spread)[..., :, None]
    high = high.amax(dim=2)  # (B, N, H, W)
    best, owner = high.max(dim=1)
    second = high.topk(2, dim=1).values[:, 1] if high.shape[1] > 1 else torch.zeros_like(best)
    return owner, best - second


def draw_centres(points: Tensor, size: tuple[int, int], *, pitch: float) -> tuple[Tensor, Tensor]:
    """Draw where the centre of the animal lies whose keypoint is nearest, and how large it is.

    Which keypoint it is does not matter: a wing's tip says as much as a head that looks like it.

    Parameters
    ----------
    points : float (B, I, K, 2)
        Keypoints in input pixels; NaN = missing.
    size : (int, int)
        Rows and columns of the maps.
    pitch : float
        Input pixels per cell.

    Returns
    -------
    centres : float (B, 3, H, W)
        From the cell to the mean of the animal's keypoints in x and y, in cells; and the
        logarithm of their mean distance from it, of at least one cell.
    weight : float (B, H, W)
        As of `draw_owners`; 0 for an animal with a single keypoint, which has no size.
    """
    rows = torch.arange(points.shape[1], device=points.device)
    owner, weight = draw_owners(points, rows, size, pitch=pitch)
    cells = to_cells(points, pitch)
    middle = cells.nanmean(dim=2)
    radius = (cells - middle[:, :, None]).norm(dim=-1).nanmean(dim=2)
    told = torch.nan_to_num(torch.cat([middle, radius.clamp(min=1.0).log()[..., None]], dim=2))
    counted = torch.isfinite(cells).all(-1).sum(2) > 1
    flat = owner.flatten(1)
    centres = told.gather(1, flat[..., None].expand(-1, -1, 3)).transpose(1, 2)
    centres = centres.reshape(len(points), 3, *size)
    grid = torch.stack(
        torch.meshgrid(
            torch.arange(size[1], device=points.device),
            torch.arange(size[0], device=points.device),
            indexing="xy",
        )
    )
    centres[:, :2] -= grid
    return centres, weight * counted.gather(1, flat).reshape(weight.shape)


def _find_spread(pitch: float) -> float:
    return _SPREAD if pitch >= 4 else _FINE_SPREAD


def _bell(gap: Tensor, spread: float) -> Tensor:
    """Gaussian of a distance in cells; 0 beyond 3 spreads and where missing."""
    value = torch.exp(-0.5 * (gap / spread).square())
    return torch.where(gap.abs() <= 3 * spread, value, 0.0)
