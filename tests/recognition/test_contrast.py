import numpy as np
import pytest
import torch

from mapose.recognition.contrast import (
    Examples,
    add_strangers,
    find_contrastive_loss,
    train_appearance,
    vary_crops,
    vary_light,
)
from mapose.recognition.network import CROP, AppearanceNetwork, to_images


def make_pairs(group, different=None):
    group = torch.as_tensor(group)
    same = group[:, None] == group
    return same, ~same if different is None else torch.as_tensor(different)


def make_crops(rng, n):
    """Crops of three animals: red, green, and red before and green behind."""
    who = np.arange(n) % 3
    crops = np.zeros((n, CROP, CROP, 3), np.uint8)
    crops[:, 4:44, 16:32] = 40
    for i, w in enumerate(who):
        crops[i, 6:24, 18:30, int(w == 1)] = 200
        crops[i, 24:42, 18:30, int(w > 0)] = 200
    noise = rng.integers(-15, 16, crops.shape)
    return np.clip(crops + noise * (crops > 0), 0, 255).astype(np.uint8), who


def test_network_is_small_and_gives_unit_vectors():
    network = AppearanceNetwork(1, 16)
    assert sum(p.numel() for p in AppearanceNetwork(3).parameters()) < 300_000
    vectors = network(torch.rand(5, 1, CROP, CROP))
    assert vectors.shape == (5, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_loss_is_the_cross_entropy_against_strangers():
    vectors = torch.nn.functional.normalize(torch.randn(4, 8, generator=torch.manual_seed(0)))
    same, different = make_pairs([0, 0, 1, 2])
    alike = torch.exp(vectors @ vectors.T / 0.1).numpy()
    wanted = [-np.log(alike[0, 1] / (alike[0, 1] + alike[0, 2] + alike[0, 3])),
              -np.log(alike[1, 0] / (alike[1, 0] + alike[1, 2] + alike[1, 3]))]  # fmt: skip
    loss = find_contrastive_loss(vectors, same, different)
    assert loss.item() == pytest.approx(np.mean(wanted), rel=1e-4)


def test_loss_leaves_out_what_is_not_known():
    vectors = torch.nn.functional.normalize(torch.randn(4, 8, generator=torch.manual_seed(0)))
    same, _ = make_pairs([0, 0, 1, 2])
    known = torch.zeros(4, 4, dtype=torch.bool)
    known[:3, 2], known[2, :3] = True, True
    known[2, 2] = False
    moved = vectors.clone()
    moved[3] = -moved[3]  # nobody knows anything about the last one
    before = find_contrastive_loss(vectors, same, known)
    assert before.item() == find_contrastive_loss(moved, same, known).item() > 0
    vectors.requires_grad_()
    nothing = find_contrastive_loss(vectors, same, torch.zeros_like(known))
    nothing.backward()
    assert nothing.item() == 0 and not vectors.grad.any()


def test_light_keeps_black_and_changes_the_rest(rng):
    images = to_images(make_crops(rng, 6)[0])
    lit = vary_light(images, torch.Generator().manual_seed(1))
    assert lit.shape == images.shape and lit.min() >= 0 and lit.max() <= 1
    assert lit[images == 0].max() < 0.01  # a clamp keeps powers of nothing finite
    gains = lit[:, :, 8, 20].mean(1) / images[:, :, 8, 20].mean(1)
    assert gains.std() > 0.05
    again = vary_light(images, torch.Generator().manual_seed(1))
    torch.testing.assert_close(lit, again)
    moved = vary_crops(images, torch.Generator().manual_seed(1))
    assert moved.shape == images.shape and (moved - lit).abs().max() > 0.1


def test_strangers_are_mixed_or_dyed(rng):
    crops, who = make_crops(rng, 12)
    images = to_images(crops)
    same, different = make_pairs(who)
    fur = torch.zeros(CROP, CROP)
    fur[10:40, 20:28] = 1
    longer, alike, apart = add_strangers(images, same, different, fur=fur, rng=rng)
    m = len(longer) - 12
    assert m >= 8 and alike.shape == apart.shape == (12 + m, 12 + m)
    assert torch.equal(longer[:12], images) and torch.equal(alike[:12, :12], same)
    assert torch.equal(apart[:12, :12], different)
    assert apart[:12, 12:].all() and not alike[:12, 12:].any()
    assert (alike[12:, 12:] == ~apart[12:, 12:]).all() and alike[12:, 12:].sum(1).min() == 4
    dyed, mixed = longer[12:16], longer[16:20]
    rim = (dyed[:, None, :, 5, 17] - images[None, :, :, 5, 17]).abs().sum(-1)
    assert (rim.min(1).values < 1e-6).all()  # the floor keeps its colour
    gap = (dyed[:, None, :, 20, 24] - images[None, :, :, 20, 24]).abs().amax(-1)
    assert gap.min() > 0.05 or (dyed[:, :, 20, 24].amax(1) == 1).any()
    # Every row of a mixed one is a row of a real one.
    rows = (mixed[:, None] - images[None]).abs().amax((2, 4))
    assert (rows.min(1).values < 1e-6).all() and not (rows.amax(2) < 1e-6).any()
    alone = add_strangers(images, same, torch.zeros_like(different), fur=fur, rng=rng)
    assert alone[0] is images


def test_training_tells_animals_apart(rng):
    crops, who = make_crops(rng, 90)
    torch.manual_seed(0)
    network = AppearanceNetwork(3)
    fur = np.zeros((CROP, CROP), np.float32)
    fur[10:40, 20:28] = 1
    examples = Examples(crops, who, ~np.eye(3, dtype=bool), fur)
    steps = []
    train_appearance(network, examples, steps=12, seed=0, report=steps.append)
    assert steps == list(range(1, 13)) and not network.training
    new, who = make_crops(np.random.default_rng(1), 30)
    with torch.inference_mode():
        lit = vary_light(to_images(new), torch.Generator().manual_seed(3), shared=True)
        vectors = network(lit).numpy()
    alike = vectors @ vectors.T
    same = who[:, None] == who
    assert alike[same].min() > alike[~same].max()
