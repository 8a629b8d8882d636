import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapose import Poses, Skeleton
from mapose.errors import SettingsError, ShapeError
from mapose.parts import Parts
from mapose.plots import draw_poses, draw_rings, draw_trails, draw_video
from mapose.plots.colours import find_identity_colours, find_keypoint_colours
from mapose.plots.extents import find_radius, smooth_path
from mapose.similarity import find_centres

WORM = Skeleton(["head", "mid", "tail"], [("head", "mid"), ("mid", "tail")])
POINTS = np.array([[[40.0, 30], [70, 30], [100, 30]], [[40, 80], [70, 80], [100, 80]]])


def blank(height: int = 120, width: int = 160) -> np.ndarray:
    return np.full((height, width), 90, np.uint8)


def near(pixel: np.ndarray, colour: np.ndarray, within: int = 45) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= within)


def make_poses(frames: int = 20, individuals: int = 2, **more) -> Poses:
    array = np.full((frames, individuals, 3, 3), 0.9)
    for i in range(individuals):
        array[:, i, :, :2] = (30 + 5 * np.arange(frames))[:, None, None]
        array[:, i, :, 0] += [0, 15, 30]
        array[:, i, :, 1] = 40 + 40 * i
    names = [f"m{i}" for i in range(individuals)]
    return Poses(array, WORM, **{"individuals": names, **more})


@pytest.mark.parametrize("shape", [(120, 160), (120, 160, 1), (120, 160, 3)])
def test_output_is_a_new_rgb_image(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    drawn = draw_poses(image, POINTS, None, WORM, names=["a", "b"])
    assert drawn.shape == (120, 160, 3) and drawn.dtype == np.uint8
    assert (image == 90).all()
    assert (drawn != 90).any()


def test_read_only_and_strided_images_can_be_drawn_on() -> None:
    image = np.full((240, 320, 3), 90, np.uint8)[::2, ::2, ::-1]
    image.flags.writeable = False
    assert (draw_poses(image, POINTS, None, WORM) != 90).any()


def test_limbs_have_the_colour_of_the_individual() -> None:
    drawn = draw_poses(blank(), POINTS, None, WORM)
    for i, y in enumerate((30, 80)):
        colour = find_identity_colours(2)[i]
        assert near(drawn[y, 55], colour)
        assert near(drawn[y, 85], colour)


def test_keypoints_have_their_own_colours_on_request() -> None:
    drawn = draw_poses(blank(), POINTS, None, WORM, colours="keypoint")
    for k, x in enumerate((40, 70, 100)):
        for y in (30, 80):
            assert near(drawn[y, x], find_keypoint_colours(3)[k], within=3)


def test_own_colours() -> None:
    drawn = draw_poses(blank(), POINTS, None, WORM, colours=[[255, 0, 0], [0, 0, 255]])
    assert near(drawn[30, 55], np.array([255, 0, 0]))
    assert near(drawn[80, 55], np.array([0, 0, 255]))


def test_dots_are_centred_to_a_fraction_of_a_pixel() -> None:
    one = Skeleton(["snout"])
    for x, y in ((40.0, 30.0), (40.25, 30.5), (40.6, 29.8)):
        drawn = draw_poses(np.zeros((60, 80), np.uint8), [[[x, y]]], None, one)
        light = drawn.astype(float).sum(-1)
        rows, columns = np.indices(light.shape)
        assert (light * columns).sum() / light.sum() == pytest.approx(x, abs=0.06)
        assert (light * rows).sum() / light.sum() == pytest.approx(y, abs=0.06)


def test_nothing_is_drawn_for_missing_keypoints() -> None:
    points = np.full((2, 3, 2), np.nan)
    assert (draw_poses(blank(), points, None, WORM, names=["a", "b"]) == 90).all()
    points[0, 0] = (40, 30)  # a limb needs two ends
    drawn = draw_poses(blank(), points, None, WORM)
    assert (drawn[25:36, 35:46] != 90).any()
    assert (drawn[:, 50:] == 90).all() and (drawn[40:] == 90).all()


def test_below_the_cutoff_is_hidden_and_doubtful_is_hollow() -> None:
    one = Skeleton(["snout"])
    big = np.full((400, 400), 90, np.uint8)
    at = [[[200.0, 200.0]]]
    sure = draw_poses(big, at, [[0.9]], one)
    doubtful = draw_poses(big, at, [[0.3]], one)
    assert (draw_poses(big, at, [[0.05]], one) == 90).all()
    assert (draw_poses(big, at, [[0.3]], one, cutoff=0.4) == 90).all()
    assert (sure[200, 200] != 90).any()
    assert (doubtful[200, 200] == 90).all() and (doubtful != 90).any()


@pytest.mark.parametrize(
    "where", [(1e9, 5.0), (-400.0, 50.0), (159.4, 119.4), (0.0, 0.0), (np.inf, 3.0)]
)
def test_points_at_and_beyond_the_border(where: tuple[float, float]) -> None:
    points = POINTS.copy()
    points[0, 1] = where
    drawn = draw_poses(blank(), points, None, WORM, names=["a", "b"])
    assert near(drawn[80, 55], find_identity_colours(2)[1])


def test_name_tags_do_not_cover_animals() -> None:
    without = draw_poses(blank(), POINTS, None, WORM)
    drawn = draw_poses(blank(), POINTS, None, WORM, names=["ann", "bob"])
    rows, columns = np.nonzero((drawn != without).any(-1))
    assert len(rows) > 50
    for animal in POINTS:
        apart = np.abs(rows[:, None] - animal[:, 1]) + np.abs(columns[:, None] - animal[:, 0])
        assert apart.min() > 3


def test_sizes_follow_image_and_animal() -> None:
    small = find_radius(POINTS / 8, (190, 190, 3))
    medium = find_radius(POINTS, (480, 640, 3))
    large = find_radius(POINTS * 4, (1080, 1920, 3))
    assert 1 <= small < medium < large < 12
    assert find_radius(np.full((2, 3, 2), np.nan), (480, 640)) > 1
    assert find_radius(np.zeros((1, 1, 2)), (480, 640)) > 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw_poses(blank().astype(float), POINTS, None, WORM), "uint8"),
        (lambda: draw_poses(np.zeros((9, 9, 4), np.uint8), POINTS, None, WORM), r"\(9, 9, 4\)"),
        (lambda: draw_poses(blank(), POINTS[:, :2], None, WORM), "3 keypoints"),
        (lambda: draw_poses(blank(), POINTS, np.ones((2, 2)), WORM), "confidence"),
        (lambda: draw_poses(blank(), POINTS, None, WORM, names=["a"]), "names"),
        (lambda: draw_poses(blank(), POINTS, None, WORM, colours=[[1, 2, 3]]), "colours"),
        (lambda: draw_trails(blank(), POINTS[0]), "trails"),
        (lambda: draw_video([], Poses(np.ones((2, 1, 3, 4)), WORM)), "2D"),
    ],
)
def test_wrong_arguments_are_told(call, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        call()


def test_misspelt_colouring_is_told_before_the_first_frame() -> None:
    with pytest.raises(SettingsError, match="did you mean 'keypoint'"):
        draw_video([], make_poses(), colours="keypoints")


def test_trails_fade_with_age() -> None:
    path = np.stack([np.linspace(20, 140, 30), np.full(30, 60.0)], -1)[:, None]
    drawn = draw_trails(blank(), path).astype(int)
    strength = np.abs(drawn[60] - 90).sum(-1)
    assert 0 < strength[30] < strength[80] < strength[130]
    assert (drawn[:50] == 90).all()


def test_trails_break_at_gaps() -> None:
    path = np.stack([np.linspace(20, 140, 13), np.full(13, 60.0)], -1)[:, None]
    path[6] = np.nan
    drawn = draw_trails(blank(), path)
    assert (drawn[:, 73:88] == 90).all()
    assert (draw_trails(blank(), np.full((5, 2, 2), np.nan)) == 90).all()
    assert (draw_trails(blank(), path[:1]) == 90).all()
    assert (draw_trails(blank(), path + 200) == 90).all()


def test_centre_and_path_leave_missing_out() -> None:
    points = np.array([[[[0.0, 0], [2, 4], [np.nan, np.nan]]], [[[np.nan] * 2] * 3]])
    centres = find_centres(points)
    assert centres[0, 0].tolist() == [1, 2]
    assert np.isnan(centres[1]).all()
    line = np.arange(9.0)[:, None, None].repeat(2, 2)
    line[4] = np.nan
    smooth = smooth_path(line)
    assert np.isnan(smooth[4]).all() and np.isfinite(np.delete(smooth, 4, 0)).all()
    assert smooth[2, 0, 0] == pytest.approx(1.5)  # mean of 0, 1, 2, 3


def test_video_rows_are_found_by_frame_number() -> None:
    poses = replace(make_poses(frames=3), frames=np.array([4, 6, 9]))
    frames = [(i, blank()) for i in (3, 6, 9)]
    images = list(draw_video(frames, poses, trail=0, names=False))
    assert (images[0] == 90).all()
    for image, row in zip(images[1:], (1, 2), strict=True):
        wanted = draw_poses(blank(), poses.points[row], poses.confidence[row], WORM)
        assert (image == wanted).all()


def test_video_is_lazy_and_leaves_the_frames_alone() -> None:
    given = [blank() for _ in range(3)]
    taken = []

    def read():
        for i, image in enumerate(given):
            taken.append(i)
            yield i, image

    video = draw_video(read(), make_poses())
    assert taken == []
    next(video)
    assert taken == [0]
    assert len(list(video)) == 2
    assert all((g == 90).all() for g in given)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_unreadable_frames_come_out_grey_with_a_note(bad: int) -> None:
    frames = [(i, None if i == bad else blank()) for i in range(3)]
    images = list(draw_video(frames, make_poses()))
    assert [i.shape for i in images] == [(120, 160, 3)] * 3
    grey = images[bad]
    assert np.ptp(grey.astype(int), axis=-1).max() <= 4  # no animal, no colour
    middle = grey[50:70]
    assert middle.max() > 180 and (grey[:40] == grey[0, 0]).all()


def test_video_without_any_readable_frame() -> None:
    images = list(draw_video([(0, None), (1, None)], make_poses()))
    assert [i.shape for i in images] == [(480, 640, 3)] * 2
    assert list(draw_video([], make_poses())) == []


def test_stamp_stands_in_the_lower_left_corner() -> None:
    plain, stamped = (
        next(draw_video([(3, blank())], make_poses(rate=25), stamp=s)) for s in (False, True)
    )
    rows, columns = np.nonzero((plain != stamped).any(-1))
    assert rows.min() > 95 and columns.max() < 120


def test_unordered_slots_have_neither_trails_nor_names() -> None:
    slots = make_poses(individuals=2)
    slots = replace(slots, individuals=None)
    image = next(draw_video([(15, blank(200, 200))], slots, trail=50, names=True))
    wanted = draw_poses(blank(200, 200), slots.points[15], slots.confidence[15], WORM)
    assert (image == wanted).all()


def test_empty_poses() -> None:
    empty = Poses(np.zeros((0, 2, 3, 3)), WORM, ["a", "b"])
    assert (next(draw_video([(0, blank())], empty)) == 90).all()


def test_tags_are_steady_while_a_leg_twitches(rng: np.random.Generator) -> None:
    array = np.full((40, 1, 3, 3), 0.9)
    array[..., :2] = POINTS[:1]
    array[:, 0, 0, 1] += 8 * (np.arange(40) % 2)
    poses = Poses(array, WORM, ["ann"])
    tops = []
    for image in draw_video([(i, blank()) for i in range(10, 20)], poses, trail=0):
        colour = find_identity_colours(1)[0]
        tag = np.abs(image[:24].astype(int) - colour).max(-1) < 60
        tops.append(np.nonzero(tag)[0].min())
    assert max(tops) - min(tops) <= 1


def test_drawing_keeps_up_with_decoding() -> None:
    poses = make_poses(frames=60)
    frames = [(i, np.full((480, 640, 3), 90, np.uint8)) for i in range(60)]
    start = time.process_time()
    assert sum(1 for _ in draw_video(frames, poses, stamp=True)) == 60
    # 250 to 350 frames/s on one 2020s core; the bar leaves room for slow and busy machines.
    assert 60 / (time.process_time() - start) > 50


def test_flies_on_their_video(recordings: Path) -> None:
    with np.load(recordings / "flies_courtship" / "labels.npz", allow_pickle=False) as file:
        points, names, edges = file["points"], file["keypoints"].tolist(), file["edges"]
    skeleton = Skeleton(names, [(names[a], names[b]) for a, b in edges])
    array = np.concatenate([points, np.ones((*points.shape[:3], 1))], -1)[:20]
    poses = Poses(array, skeleton, ["female", "male"], rate=25)
    capture = cv2.VideoCapture(str(next((recordings / "flies_courtship").glob("*.mp4"))))
    frames = [(i, capture.read()[1][..., ::-1]) for i in range(10)]
    capture.release()
    image = list(draw_video(frames, poses))[-1]
    assert image.shape == frames[-1][1].shape
    thorax = names.index("thorax")
    for i, colour in enumerate(find_identity_colours(2)):
        x, y = poses.points[9, i, thorax].round().astype(int)
        patch = image[y - 5 : y + 6, x - 5 : x + 6].reshape(-1, 3).astype(int)
        assert np.abs(patch - colour).max(-1).min() < 30


def test_parts_are_drawn_as_the_whole(rng, monkeypatch):
    monkeypatch.setattr("mapose.plots.overlay.PART", 5)
    poses = make_poses(rate=25)
    array = np.repeat(poses.array[:1], 60, axis=0).copy()
    array[..., :2] += np.arange(60)[:, None, None, None] * 0.7 + rng.normal(
        size=array[..., :2].shape
    )
    poses = Poses(array, poses.skeleton, poses.individuals, 25.0)
    edited = np.zeros(array.shape[:3], bool)
    edited[[12, 31], 0, 1] = True
    read = []

    def take(rows):
        read.append(rows.stop - rows.start)
        return poses.take(rows)

    parts = Parts(take, poses.frames, read_support=lambda rows: {"edited": edited[rows]}, size=9)

    def draw(source, marked):
        frames = [(i, blank(200, 200)) for i in (*range(3, 40), 55, 20, 21, 70)]
        drawn = draw_video(frames, source, trail=8, names=True, stamp=True)
        return list(draw_rings(drawn, source, marked=marked, first=3))

    whole, found = draw(poses, edited), draw(parts, None)
    assert len(whole) == 41 and sorted(read)[-3] < 30  # the size of pens is that of the whole
    np.testing.assert_array_equal(found, whole)
    assert (whole[9] != draw(poses, None)[9]).any()  # a ring
    plain, images = Parts(take, poses.frames, size=9), [blank(200, 200)] * 5
    read.clear()
    assert list(draw_rings(images, plain)) == images and not read  # nothing is looked for
