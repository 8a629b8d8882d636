import pytest
import torch

from mapose.models import Maps, build_network, find_centre_loss, find_losses


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(1, 3, 2, widths=(8, 12, 16), depths=(0, 1, 1))


def test_maps_have_the_stride_and_channels_asked_for(network):
    maps = network(torch.zeros(2, 1, 64, 48))
    assert maps.scores.shape == (2, 3, 16, 12)
    assert maps.offsets.shape == (2, 6, 16, 12)
    assert maps.fields.shape == (2, 4, 16, 12)
    assert network.multiple == 8


@pytest.mark.parametrize("encoder", ["residual", "efficientnet-lite0"])
def test_finer_maps_have_the_features_of_coarser_ones_behind_them(encoder):
    """However many maps: 16 channels between them and the features could not tell them apart."""
    shape = {"widths": (16, 48, 96, 128, 160), "depths": (0, 0, 0, 0, 0), "encoder": encoder}
    fine, coarse = (build_network(1, 13, 20, stride=stride, **shape) for stride in (2, 4))
    fine.add_marks(3)
    maps = fine.eval()(torch.zeros(1, 1, 64, 96))
    assert maps.scores.shape == (1, 13, 32, 48) and maps.marks.shape == (1, 3, 32, 48)
    assert maps.offsets.shape == (1, 26, 32, 48) and maps.fields.shape == (1, 40, 32, 48)
    torch.testing.assert_close(
        maps.scores.sigmoid(), torch.full((1, 13, 32, 48), 0.01), atol=2e-3, rtol=0
    )
    assert fine.heads.in_channels == coarse.heads.in_channels
    assert {m.out_channels for m in fine.merge.modules() if isinstance(m, torch.nn.Conv2d)} == {
        48,
        96,
        128,
    }


def test_folding_batch_norms_changes_nothing(network):
    with torch.no_grad():
        for _ in range(3):  # give the norms something to fold
            network(torch.randn(4, 1, 32, 32) * 3 + 1)
    images = torch.randint(0, 256, (2, 32, 32, 1), dtype=torch.uint8)
    with torch.no_grad():
        wanted = network.eval().predict(images)
        fused = network.fused()
        found = fused.predict(images)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    torch.testing.assert_close(found.scores, wanted.scores, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found.offsets, wanted.offsets, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("stride", [4, 2])
def test_a_network_learns_one_image(stride):
    """A dot on black: after a few steps the scoremap peaks where the dot is."""
    from mapose.data import draw_scores

    torch.manual_seed(0)
    network = build_network(1, 3, 2, widths=(8, 12, 16), depths=(0, 1, 1), stride=stride)
    size = (64 // stride, 64 // stride)
    image = torch.zeros(1, 1, 64, 64)
    image[0, 0, 32:36, 44:48] = 2
    points = torch.full((1, 1, 3, 2), torch.nan)
    points[0, 0, 0] = torch.tensor([45.5, 33.5])
    scores, offsets = draw_scores(points, size, pitch=float(stride))
    targets = Maps(scores, offsets, torch.zeros(1, 4, *size))
    known = torch.tensor([[True, False, True]])
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        losses = find_losses(network(image), targets, known, on_limb=torch.zeros(1, 2, *size))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    with torch.no_grad():
        found = network(image).scores.sigmoid()[0, 0]
    assert scores[0, 0].flatten()[found.argmax()] == scores[0, 0].max()
    assert found.max() > 0.5


def test_keypoints_nobody_looked_for_have_no_gradient(network):
    maps = network(torch.randn(1, 1, 32, 32))
    maps.scores.retain_grad()
    zeros = torch.zeros(1, 3, 8, 8)
    targets = Maps(zeros, torch.zeros(1, 6, 8, 8), torch.zeros(1, 4, 8, 8))
    known = torch.tensor([[True, False, True]])
    find_losses(maps, targets, known, on_limb=torch.zeros(1, 2, 8, 8)).total.backward()
    assert (maps.scores.grad[:, 1] == 0).all()
    assert (maps.scores.grad[:, [0, 2]] != 0).any()


def test_a_network_learns_where_an_animal_is(network):
    """A limb on black: both its ends learn to point at its middle, whichever they are."""
    from mapose.data import draw_centres

    network.add_centres()
    image = torch.zeros(1, 1, 64, 64)
    image[0, 0, 24:28, 16:48] = 2
    points = torch.tensor([[[[17.5, 25.5], [45.5, 25.5], [torch.nan, torch.nan]]]])
    centres, weight = draw_centres(points, (16, 16), pitch=4.0)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        loss = find_centre_loss(network(image).centres, centres, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = network(image).centres[0]
    for column in (4, 11):  # the ends; the middle is at cell 7.5
        assert abs(column + float(found[0, 6, column]) - 7.5) < 0.5
        assert abs(float(found[2, 6, column].exp()) - 3.5) < 0.5
