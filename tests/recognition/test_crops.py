import numpy as np
import pytest

from mapose.errors import ShapeError
from mapose.recognition.crops import cut_crops, find_scale, find_template, fit_bodies
from mapose.skeleton import Skeleton
from mapose.synthetic import make_scene

#: A body 40 px long and 20 wide, head up: nose, two ears, rump, tail tip.
BODY = np.array([[0, -20], [-10, -10], [10, -10], [0, 20], [0, 45]], float)
SKELETON = Skeleton(
    ["nose", "earL", "earR", "tail_base", "tail_tip"],
    [("nose", "earL"), ("nose", "earR"), ("earL", "tail_base"), ("tail_base", "tail_tip")],
)


def place(body, angle, at, size=1.0):
    """Lay a body into an image: turned clockwise by an angle in degrees."""
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return size * body @ rotation.T + at


def make_poses(rng, n=200):
    """Bodies lying anyhow, with swinging tails, jitter and a fifth of the keypoints missing."""
    poses = []
    for _ in range(n):
        body = BODY + rng.normal(0, 0.8, BODY.shape)
        body[4] = body[3] + place(np.array([0, 25.0]), rng.uniform(-80, 80), 0)
        poses.append(place(body, rng.uniform(0, 360), rng.uniform(100, 400, 2)))
    poses = np.array(poses)
    poses[rng.random(poses.shape[:2]) < 0.2] = np.nan
    return poses


def paint(points):
    """Draw a red head and a blue rump, 200 x 200, on green."""
    rows, columns = np.mgrid[:200, :200]
    image = np.zeros((200, 200, 3), np.uint8)
    image[..., 1] = 90
    for k, colour in ((0, (250, 0, 0)), (3, (0, 0, 250))):
        near = np.hypot(columns - points[k, 0], rows - points[k, 1]) < 8
        image[near] = colour
    return image


def find_colour(crop, channel):
    """Find the middle of the pixels in which one channel stands out, in pixels of the crop."""
    weight = (crop[..., channel].astype(float) > 150) * 1.0
    rows, columns = np.mgrid[: len(crop), : len(crop)]
    return (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()


def test_template_is_upright_and_trusts_firm_keypoints(rng):
    template = find_template(make_poses(rng), SKELETON)
    nose, left, right, rump, _ = template.points
    assert nose[1] < left[1] < rump[1] and abs(nose[0]) < 0.05 and abs(rump[0]) < 0.05
    assert left[0] < 0 < right[0]  # not mirrored
    size = np.linalg.norm(rump - nose)
    np.testing.assert_allclose(np.linalg.norm(right - left) / size, 0.5, atol=0.03)
    assert template.weight[4] < 0.1 < 0.3 < template.weight[:4].min()
    assert template.firm.tolist() == [True] * 4 + [False]


def test_template_without_telling_names_and_edges(rng):
    plain = find_template(make_poses(rng), Skeleton(list("abcde")))
    assert plain.points[0, 1] < plain.points[3, 1]
    assert len(plain.edges) == 4 and len(set(plain.edges.ravel())) == 5


def test_fit_finds_turn_and_size(rng):
    template = find_template(make_poses(rng), SKELETON)
    straight = place(BODY, 0, (100, 100))
    turned = place(BODY, 50, (120, 90), 1.5)
    (one, _), (other, _) = fit_bodies(np.stack([straight, turned]), template)
    assert np.rad2deg(np.angle(other / one)) == pytest.approx(50, abs=1e-6)
    assert abs(other) / abs(one) == pytest.approx(1.5)
    forced = fit_bodies(turned, template, scale=10.0)
    assert abs(forced[0]) == pytest.approx(10) and forced.shape == (2,)
    assert find_scale(np.stack([straight, straight, turned]), template) == pytest.approx(abs(one))


@pytest.mark.parametrize("angle", [0, 37, 180, 290])
def test_crops_show_the_head_up(rng, angle):
    template = find_template(make_poses(rng), SKELETON)
    points = place(BODY, angle, (100, 95))
    crops, found = cut_crops(paint(points), points[None], template=template, size=64)
    assert crops.shape == (1, 64, 64, 3) and crops.dtype == np.uint8 and found.tolist() == [True]
    (x, y), (u, v) = find_colour(crops[0], 0), find_colour(crops[0], 2)
    assert abs(x - u) < 1.5 and v - y > 20
    # The same place on the body is the same pixel, to half a pixel.
    per_pixel = 2 * template.reach / 64
    wanted = (template.points[0] + template.reach) / per_pixel - 0.5
    np.testing.assert_allclose((x, y), wanted, atol=1.2)
    # Corners are off the body, the middle is on it.
    assert crops[0, 0, 0].max() == 0 and crops[0, 32, 32, 1] > 60
    bare, _ = cut_crops(paint(points), points[None], template=template, size=64, masked=False)
    assert bare[0, 4, 32, 1] == 90


def test_crops_follow_a_common_scale(rng):
    template = find_template(make_poses(rng), SKELETON)
    small, large = place(BODY, 0, (100, 90)), place(BODY, 0, (100, 90), 1.3)
    gaps = []
    for points in (small, large):
        scale = find_scale(small[None], template)
        crop = cut_crops(paint(points), points[None], template=template, scale=scale)[0][0]
        gaps.append(find_colour(crop, 2)[1] - find_colour(crop, 0)[1])
    assert gaps[1] / gaps[0] == pytest.approx(1.3, rel=0.12)


def test_animals_that_lack_keypoints_give_no_crop(rng):
    template = find_template(make_poses(rng), SKELETON)
    whole, lost = place(BODY, 20, (80, 80)), np.full_like(BODY, np.nan)
    one, tail = lost.copy(), place(BODY, 20, (80, 80))
    one[0], tail[:3] = whole[0], np.nan
    crops, found = cut_crops(
        paint(whole)[..., 0], np.stack([whole, lost, one, tail]), template=template
    )
    assert found.tolist() == [True, False, False, False]
    assert crops.shape[-1] == 1 and crops[0].max() > 200 and not crops[1:].any()
    none, _ = cut_crops(paint(whole), np.empty((0, 5, 2)), template=template)
    assert none.shape == (0, 48, 48, 3)


def test_crops_beyond_the_border_are_black_there(rng):
    template = find_template(make_poses(rng), SKELETON)
    points = place(BODY, 0, (0, 100))  # half of it is outside
    crop = cut_crops(paint(points), points[None], template=template, size=64, masked=False)[0][0]
    assert not crop[:, :28].any() and crop[:, 36:, 1].min() >= 0 and crop[32, 40].any()


def test_wrong_shapes_are_named(rng):
    template = find_template(make_poses(rng), SKELETON)
    with pytest.raises(ShapeError, match=r"poses \(I, 5, 2\), came"):
        cut_crops(np.zeros((9, 9), np.uint8), np.zeros((1, 4, 2)), template=template)
    with pytest.raises(ShapeError, match="two poses with two keypoints"):
        find_template(np.full((5, 5, 2), np.nan), SKELETON)


def test_drawn_animals_look_the_same_however_they_lie():
    """Crops of one drawn animal are more alike than crops of different ones, at any time."""
    scene = make_scene(3, 200, seed=3, appearance="distinct")
    poses = scene.truth()
    template = find_template(poses.points.reshape(-1, 12, 2), poses.skeleton)
    crops = []
    for frame in (0, 100, 199):
        cut, found = cut_crops(scene.draw(frame), poses.points[frame], template=template)
        assert found.all()
        crops.append(cut.astype(float))
    pixels = np.array(crops).reshape(3, 3, -1)
    gap = np.linalg.norm(pixels[:, None, :, None] - pixels[None, :, None], axis=-1)
    same = np.array([gap[a, b, i, i] for i in range(3) for a, b in ((0, 1), (0, 2), (1, 2))])
    other = np.array([gap[a, b, i, j] for a in range(3) for b in range(3)
                      for i in range(3) for j in range(3) if i != j and a != b])  # fmt: skip
    assert np.median(same) < 0.7 * np.median(other)
