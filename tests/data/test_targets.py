import numpy as np
import pytest
import torch

from mapose.data import draw_centres, draw_fields, draw_scores


def test_a_target_peaks_at_its_cell_and_offsets_point_at_the_keypoint():
    points = torch.tensor([[[[41.0, 22.5]], [[10.0, 50.0]]]])  # (1, 2, 1, 2)
    scores, offsets = draw_scores(points, (16, 16), pitch=4.0)
    assert scores.shape == (1, 1, 16, 16)
    for x, y in points[0, :, 0].tolist():
        cx, cy = (x + 0.5) / 4 - 0.5, (y + 0.5) / 4 - 0.5
        column, row = round(cx), round(cy)
        around = scores[0, 0, row - 1 : row + 2, column - 1 : column + 2]
        assert around.argmax() == 4
        assert offsets[0, 0, row, column] + column == torch.tensor(cx)
        assert offsets[0, 1, row, column] + row == torch.tensor(cy)


@pytest.mark.parametrize(("pitch", "beside", "rows"), [(4.0, 0.6065, 3), (2.0, 0.8007, 5)])
def test_peaks_and_limbs_of_small_cells_are_more_cells_wide(pitch, beside, rows):
    """Those of one small cell were too rare to be learned."""
    cells = torch.tensor([[[[3.0, 5.0], [11.0, 5.0]]]])
    points, size = pitch * (cells + 0.5) - 0.5, (16, 16)
    scores, _ = draw_scores(points, size, pitch=pitch)
    assert scores[0, 0, 5, 3] == 1
    np.testing.assert_allclose(scores[0, 0, 5, 4], beside, rtol=1e-3)
    _, on_limb = draw_fields(points, torch.tensor([[0, 1]]), size, pitch=pitch)
    assert on_limb[0, 0, :, 7].sum() == rows


def test_missing_keypoints_leave_no_trace():
    points = torch.full((2, 3, 4, 2), torch.nan)
    scores, offsets = draw_scores(points, (8, 8), pitch=4.0)
    fields, on_limb = draw_fields(points, torch.tensor([[0, 1]]), (8, 8), pitch=4.0)
    for maps in (scores, offsets, fields, on_limb):
        assert (maps == 0).all()


def test_a_field_points_along_its_limb_and_nowhere_else():
    points = torch.tensor([[[[9.5, 33.5], [49.5, 33.5]]]])
    fields, on_limb = draw_fields(points, torch.tensor([[0, 1]]), (16, 16), pitch=4.0)
    row, columns = 8, slice(2, 12)
    np.testing.assert_allclose(fields[0, 0, row, columns], 1, atol=1e-6)
    np.testing.assert_allclose(fields[0, 1, row, columns], 0, atol=1e-6)
    assert on_limb[0, 0, row, columns].all()
    assert on_limb[0, 0, :5].sum() == 0 and on_limb[0, 0, 12:].sum() == 0


def test_crossing_limbs_are_averaged():
    points = torch.tensor([[[[1.5, 33.5], [61.5, 33.5]], [[33.5, 1.5], [33.5, 61.5]]]])
    fields, _ = draw_fields(points, torch.tensor([[0, 1]]), (16, 16), pitch=4.0)
    np.testing.assert_allclose(fields[0, :, 8, 8], [0.5, 0.5], atol=1e-6)


def test_every_cell_of_an_animal_points_at_its_centre_and_knows_its_size():
    points = torch.tensor([[[[9.5, 9.5], [25.5, 9.5]], [[41.5, 41.5], [41.5, torch.nan]]]])
    centres, weight = draw_centres(points, (16, 16), pitch=4.0)
    for row, column in ((2, 2), (2, 6)):  # the cells of the first animal's two keypoints
        x, y, radius = centres[0, :, row, column].tolist()
        np.testing.assert_allclose([column + x, row + y], [4.0, 2.0], atol=0.01)
        np.testing.assert_allclose(np.exp(radius), 2.0, atol=0.01)
        assert weight[0, row, column] > 0.9
    assert torch.isfinite(centres).all()
    assert weight[0, 10, 10] == 0  # a single keypoint has no size
    assert weight[0, 15, 0] == 0
