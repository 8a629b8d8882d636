import dataclasses

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, CameraGroup
from calibration.synthetic import make_ring
from mapose.errors import SettingsError, ShapeError
from mapose.synthetic import Arena, bodies, drawing, make_cameras, make_scene
from mapose.synthetic.backdrop import Light, draw_light
from mapose.synthetic.coats import Coat


@pytest.fixture(scope="module")
def world():
    """Three animals, a shelter and a tunnel, 80 seconds, three cameras."""
    arena = Arena(shelter=True, door=True)
    return make_scene(3, 2000, seed=4, arena=arena, cameras=make_cameras(3, arena=arena))


def paint(scene, colours, ears=(90.0, 90.0, 90.0)):
    """Give animals flat colours, without gloss."""
    coats = [
        Coat(np.broadcast_to(np.float32(c), (8, 8, 3)), skin=c, ear=ears or c, eye=c, gloss=0)
        for c in colours
    ]
    return dataclasses.replace(scene, coats=coats)


def make_balls():
    """Make small balls at the keypoints, to be drawn instead of limbs."""
    n = len(bodies.SKELETON.keypoints)
    at, flat = bodies.KEYPOINTS, np.zeros((n, 2))
    return bodies.Limbs(at, at, np.full((n, 2), 2.2), flat, np.full(n, bodies.SKIN))


def test_frames_are_reproducible():
    scene = make_scene(2, 50, seed=7, cameras=make_cameras(2, size=(320, 240)))
    again = make_scene(2, 50, seed=7, cameras=make_cameras(2, size=(320, 240)))
    frame = scene.draw(30)
    assert frame.shape == (240, 320, 3) and frame.dtype == np.uint8
    assert np.array_equal(frame, again.draw(30))
    assert np.array_equal(list(scene.draw_frames("cam1", [3, 4]))[1], again.draw(4, "cam1"))
    assert not np.array_equal(frame, make_scene(2, 50, seed=8).draw(30)[:240, :320])
    assert len(scene) == 50 and sum(1 for _ in scene.draw_frames(frames=range(2))) == 2


def test_truth_is_the_projection_of_the_world(world):
    points = world.truth_3d()
    assert points.unit == "mm" and points.rate == 25 and np.isfinite(points.array).all()
    for name in world.cameras.names:
        truth = world.truth(name)
        there = truth.confidence > 0
        pixels = world.cameras[name].project(points.points)
        np.testing.assert_allclose(truth.points[there], pixels[there], atol=1e-3)
        assert set(np.unique(truth.confidence)) <= {0.0, 1.0}
        kept = world.truth(name, occluded=False).confidence > 0
        assert np.array_equal(kept, world.visibility(name))
        assert (kept <= there).all() and kept.sum() < there.sum()


def test_markers_are_drawn_where_the_truth_is(monkeypatch):
    """Replace the limbs by balls at the keypoints and find their centres in the picture."""
    monkeypatch.setattr(drawing, "LIMBS", make_balls())
    scene = paint(make_scene(1, 60, seed=2, cameras=make_cameras(2)), [(0.0, 255.0, 0.0)])
    errors = []
    for camera in scene.cameras.names:
        truth = scene.truth(camera).points[:, 0]
        for frame in range(0, 60, 10):
            green = scene.draw(frame, camera).astype(float)
            weight = np.clip(green[..., 1] - green[..., [0, 2]].max(-1) - 20, 0, 60)
            apart = np.linalg.norm(truth[frame, :, None] - truth[frame], axis=-1)
            for x, y in truth[frame][(apart < 11).sum(1) == 1]:
                rows, columns = np.mgrid[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
                w = weight[rows, columns]
                errors.append([(columns * w).sum() / w.sum() - x, (rows * w).sum() / w.sum() - y])
    assert len(errors) > 60
    # The lamp shines on one side of each ball, which shifts its bright part a little.
    distance = np.linalg.norm(errors, axis=1)
    assert np.median(distance) < 0.3 and np.percentile(distance, 95) < 0.5
    assert np.abs(np.mean(errors, axis=0)).max() < 0.2


def test_outlines_are_centred_on_the_truth(monkeypatch):
    """The centre of mass of what is covered is the projected point, to a twentieth pixel."""
    monkeypatch.setattr(drawing, "LIMBS", make_balls())
    scene = make_scene(1, 30, seed=2)
    truth = scene.truth().points[:, 0]
    errors = []
    for frame in range(30):
        outlines = drawing.find_outlines(
            scene.motion.joints[frame], scene.motion.scale, scene.cameras["top"]
        )
        x0, y0 = np.floor(truth[frame].min(0)).astype(int) - 9
        x1, y1 = np.ceil(truth[frame].max(0)).astype(int) + 9
        cover = drawing._find_surface(outlines, 0, (x0, y0, x1, y1)).cover
        apart = np.linalg.norm(truth[frame, :, None] - truth[frame], axis=-1)
        for x, y in truth[frame][(apart < 11).sum(1) == 1]:
            rows, columns = np.mgrid[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
            w = cover[rows - y0, columns - x0]
            errors.append([(columns * w).sum() / w.sum() - x, (rows * w).sum() / w.sum() - y])
    assert len(errors) > 60
    assert np.abs(errors).max() < 0.07 and np.abs(np.mean(errors, axis=0)).max() < 0.01


def test_ears_are_drawn_where_the_truth_is():
    scene = paint(make_scene(1, 200, seed=3), [(120.0, 120.0, 120.0)], ears=(0.0, 255.0, 0.0))
    truth = scene.truth()
    errors = []
    for frame in range(0, 200, 20):
        image = scene.draw(frame).astype(np.float32)
        mask = image[..., 1] - image[..., [0, 2]].max(-1) > 40
        _, _, _, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        for ear in ("left_ear", "right_ear"):
            gap = np.linalg.norm(centres[1:] - truth["mouse1", ear][frame, :2], axis=1)
            errors.append(gap.min())
    assert np.median(errors) < 0.5


def test_left_is_left(world):
    points, pixels = world.truth_3d(), world.truth("top")
    for poses, sign in ((points, 1), (pixels, -1)):
        for pair in world.skeleton.mirror:
            left, right = (poses.sel(keypoint=k).points[:, :, 0, :2] for k in pair)
            tail, centre = (
                poses.sel(keypoint=k).points[:, :, 0, :2] for k in ("tail_base", "centre")
            )
            ahead, across = centre - tail, left - right
            turn = ahead[..., 0] * across[..., 1] - ahead[..., 1] * across[..., 0]
            turn = turn[np.isfinite(turn)]
            # A head can look back over the shoulder.
            assert (np.sign(turn) == sign).mean() > 0.97


def test_bones_keep_their_length(world):
    points = world.truth_3d()
    neck, centre, nose = (
        points.sel(keypoint=k).points[:, :, 0] for k in ("neck", "centre", "nose")
    )
    trunk = np.linalg.norm(neck - centre, axis=-1) / world.motion.scale
    np.testing.assert_allclose(trunk, bodies.LENGTHS[bodies.NECK], rtol=0.02)
    assert np.percentile(np.linalg.norm(nose - neck, axis=-1), 1) > 20


def test_animals_behave(world):
    points = world.truth_3d().points
    centre = points[:, :, world.skeleton.index("centre")]
    speed = np.linalg.norm(np.diff(centre, axis=0), axis=-1) * world.rate
    assert 0.2 < (speed < 20).mean() < 0.8 and 60 < np.percentile(speed, 90) < 250
    assert speed.max() < 600
    assert points[:, :, 0, 2].max() > 45  # somebody rears
    assert points[..., 2].min() > 0
    there = world.truth().confidence.max(-1) > 0
    changes = np.diff(there.astype(int), axis=0)
    assert (changes == -1).sum() >= 2 and (changes == 1).sum() >= 2  # leave and come back
    assert 0.4 < there.mean() < 1


def test_nobody_walks_through_walls():
    scene = make_scene(3, 3000, seed=9)
    reach = np.abs(scene.truth_3d().points[..., :2]) - scene.arena.half
    assert np.percentile(reach, 99.9) < 0 and reach.max() < 10


def test_who_is_on_top_is_seen():
    """Where visibility says so, the pixel has the animal's own colour, else another's."""
    arena = Arena(bedding=False, width=220, depth=220)
    scene = make_scene(2, 1500, seed=5, arena=arena, cameras=make_cameras(2, arena=arena))
    scene = paint(scene, [(250.0, 0.0, 0.0), (0.0, 0.0, 250.0)], ears=None)
    for camera in scene.cameras.names:
        truth, seen = scene.truth(camera).points, scene.visibility(camera)
        k = [scene.skeleton.index(n) for n in ("neck", "centre", "tail_base")]
        frames = np.flatnonzero((~seen[:, :, k]).any((1, 2)))[::25]
        right, hidden = [], 0
        for frame in frames:
            image = scene.draw(frame, camera).astype(int)
            for i in (0, 1):
                x, y = np.round(truth[frame, i, k]).astype(int).T
                own = image[y, x, 2 * i] > image[y, x, 2 - 2 * i]
                right += (own == seen[frame, i, k]).tolist()
                hidden += (~seen[frame, i, k]).sum()
        assert hidden > 10 and np.mean(right) > 0.95


def test_boxes_hide_animals(world):
    points = world.motion.find_keypoints()
    outside = (np.abs(points[..., :2]) > world.arena.half + 5).any(-1)
    tunnel = world.arena.boxes[1]
    assert (outside & ~tunnel.holds(points)).mean() < 0.001
    for box in world.arena.boxes:
        within = box.holds(points) & (points[..., 2] < box.high[2])
        assert within.sum() > 100
        for camera in world.cameras.names:
            assert not world.visibility(camera)[within].any()
            assert np.isnan(world.truth(camera).points[within]).all()


@pytest.mark.parametrize("appearance", ["identical", "similar", "distinct"])
def test_appearance_is_as_asked(appearance):
    scene = make_scene(4, 1, appearance=appearance)
    tones = np.array([coat.fur.mean((0, 1)) for coat in scene.coats])
    spread = np.linalg.norm(tones[:, None] - tones, axis=-1)[np.triu_indices(4, 1)]
    low, high = {"identical": (0, 0), "similar": (1, 60), "distinct": (3, 400)}[appearance]
    assert (spread >= low).all() and (spread <= high).all()
    assert (np.ptp(scene.motion.scale) == 0) == (appearance == "identical")


def test_other_cameras_may_watch():
    group = make_ring(3, radius=350, height=420, size=(200, 160), fisheye=[1])
    scene = make_scene(2, 5, cameras=group, arena=Arena(bedding=False))
    for name in group.names:
        image = scene.draw(2, name)
        assert image.shape == (160, 200, 3) and image.std() > 10
        assert (scene.truth(name).confidence > 0).mean() > 0.9


def test_wrong_wishes_are_refused():
    scene = make_scene(1, 2)
    with pytest.raises(ShapeError, match="no frame 2 in this scene of 2"):
        scene.draw(2)
    with pytest.raises(CalibrationError, match="did you mean 'top'"):
        scene.truth("tpo")
    with pytest.raises(ShapeError, match="at least one animal"):
        make_scene(0)
    with pytest.raises(SettingsError, match="identical, similar, distinct"):
        make_scene(1, 1, appearance="alike")
    with pytest.raises(SettingsError, match="200 x 200"):
        Arena(width=100)
    with pytest.raises(ShapeError, match="cameras"):
        make_cameras(0)
    assert isinstance(scene.cameras, CameraGroup)


def test_the_same_animals_are_filmed_on_another_day():
    monday = make_scene(3, 30, seed=5, appearance="distinct")
    tuesday = monday.film_again(40, seed=6)
    assert len(tuesday) == 40 and tuesday.individuals == monday.individuals
    assert all(a is b for a, b in zip(tuesday.coats, monday.coats, strict=True))
    assert np.array_equal(tuesday.motion.scale, monday.motion.scale)
    assert not np.array_equal(tuesday.motion.joints[:30], monday.motion.joints)
    assert np.array_equal(tuesday.draw(7), monday.film_again(40, seed=6).draw(7))
    fewer = monday.film_again(40, seed=6, individuals=2)
    assert len(fewer.coats) == 2 and fewer.light == tuesday.light != monday.light
    with pytest.raises(ShapeError, match="1 to 3 animals"):
        monday.film_again(40, seed=6, individuals=4)


def test_light_changes_the_picture_as_it_says():
    monday = make_scene(1, 5, seed=5, appearance="distinct")
    dim = dataclasses.replace(monday, light=Light(colour=(0.5, 0.6, 0.7)))
    ratio = dim.draw(2).mean((0, 1)) / monday.draw(2).mean((0, 1))
    np.testing.assert_allclose(ratio, (0.5, 0.6, 0.7), rtol=0.03)
    aside = dataclasses.replace(monday, light=Light(spot=(150.0, -110.0)))
    gain = aside.draw(2).mean(-1) / np.maximum(monday.draw(2).mean(-1), 1)
    assert gain[200:, 300:].mean() > 1.02 > 0.98 > gain[:160, :180].mean()
    lights = [draw_light(np.random.default_rng(seed)) for seed in range(200)]
    colours = np.array([light.colour for light in lights])
    assert colours.min() > 0.92 / 1.3 - 1e-6 and colours.max() < 1.08 * 1.3 + 1e-6
    assert min(light.lamp[2] for light in lights) > 0.7
