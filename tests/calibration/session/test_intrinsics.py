import numpy as np
import pytest

from calibration import CalibrationError, Camera
from calibration.boardposes import place_board
from calibration.boards.detection import BoardDetections
from calibration.rotations import turn
from calibration.session.intrinsics import calibrate_camera, guess_lens
from calibration.synthetic import FISHEYE_DISTORTION, MILD_DISTORTION, make_board

BOARD = make_board()
SIZE = (640, 480)


def make_lens(focal=640.0, shift=(0.0, 0.0), aspect=1.0, distortion=MILD_DISTORTION, fisheye=False):
    matrix = [[focal, 0, 319.5 + shift[0]], [0, focal * aspect, 239.5 + shift[1]], [0, 0, 1]]
    model = "fisheye" if fisheye else "pinhole"
    return Camera("top", SIZE, np.array(matrix), np.array(distortion), model=model)


def view_board(camera, rng, *, n=25, tilt=0.45, noise=0.2, near=1.0):
    """Hold the board, tilted, where the camera sees at least half of it."""
    f = camera.matrix[0, 0]
    views = []
    while len(views) < n:
        depth = near * f * rng.uniform(0.5, 1.2)
        middle = rng.uniform([-0.6, -0.6], [0.6, 0.6]) * np.array(SIZE) / 2 - 0.5
        looking = (middle + np.array(SIZE) / 2 - camera.matrix[:2, 2]) / f
        rotation = turn(rng.normal(0, tilt, 3))
        place = np.append(looking * depth, depth) - rotation @ BOARD.mean(0)
        pixels = camera.project(place_board(rotation, place, BOARD)) + rng.normal(0, noise, (35, 2))
        inside = ((pixels > 0) & (pixels < np.array(SIZE) - 1)).all(-1)
        if inside.sum() > 17:
            views.append(np.where(inside[:, None], pixels, np.nan))
    return np.array(views)


def make_detections(pixels, size=SIZE):
    return BoardDetections(
        camera="top",
        size=size,
        frames=np.arange(len(pixels)),
        pixels=pixels,
        n_frames=len(pixels),
        rate=30.0,
        mirrored=False,
    )


LENSES = {
    "usual": {},
    "off the middle": {"shift": (110.0, -70.0)},
    "wide": {"focal": 300.0, "distortion": (-0.25, 0.06, 0.0, 0.0)},
    "long": {"focal": 3500.0, "distortion": (0.0, 0.0, 0.0, 0.0)},
    "oblong pixels": {"aspect": 1.03},
    "fisheye": {"focal": 250.0, "distortion": FISHEYE_DISTORTION, "fisheye": True},
    "fisheye off": {
        "focal": 250.0,
        "distortion": FISHEYE_DISTORTION,
        "fisheye": True,
        "shift": (-60.0, 40.0),
    },
}


@pytest.mark.parametrize("kind", LENSES)
def test_lenses_are_recovered(kind, rng):
    true = make_lens(**LENSES[kind])
    fit = calibrate_camera(
        make_detections(view_board(true, rng)), BOARD, fisheye=true.model == "fisheye"
    )
    sd = fit.result.deviations["top"]
    found = fit.camera.matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
    off = found - true.matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
    assert (np.abs(off) < 4 * np.array([sd[n] for n in ("fx", "fy", "cx", "cy")])).all()
    assert abs(off[0]) < 0.02 * found[0]
    assert not fit.poor and fit.camera.model == true.model
    assert np.nanmedian(fit.result.errors) < 0.3


def test_false_corners_do_not_bend_the_lens(rng):
    true = make_lens()
    pixels = view_board(true, rng)
    false = rng.random(pixels.shape[:2]) < 0.05
    pixels[false] += rng.uniform(-80, 80, (false.sum(), 2))
    fit = calibrate_camera(make_detections(pixels), BOARD)
    assert fit.camera.matrix[0, 0] == pytest.approx(640, rel=0.01)
    far = false & (np.linalg.norm(pixels, axis=-1) > 0)
    assert (fit.result.weights[0][far[fit.frames]] < 0.2).mean() > 0.9


def test_fifth_coefficient_is_kept_only_where_the_lens_has_it(rng):
    plain = calibrate_camera(make_detections(view_board(make_lens(), rng, n=40)), BOARD)
    assert len(plain.camera.distortion) == 4
    bent = make_lens(focal=420.0, distortion=(-0.33, 0.17, 0.0, 0.0, -0.06))
    fit = calibrate_camera(make_detections(view_board(bent, rng, n=40, noise=0.1, near=0.7)), BOARD)
    assert fit.camera.distortion[4] == pytest.approx(-0.06, abs=0.02)


def test_three_views_do_not_run_away(rng):
    true = make_lens(focal=700.0)
    for _ in range(5):
        fit = calibrate_camera(make_detections(view_board(true, rng, n=3, noise=0.4)), BOARD)
        f, c = fit.camera.matrix[[0, 1], [0, 1]], fit.camera.matrix[:2, 2]
        assert (np.abs(f / 700 - 1) < 0.1).all() and (np.abs(c - [319.5, 239.5]) < 25).all()


def test_one_flat_view_gives_a_usual_lens(rng):
    """Head-on, nothing tells focal length from distance: the fit must say so and stay sane."""
    pixels = view_board(make_lens(), rng, n=1, tilt=0.01, noise=0.3)
    fit = calibrate_camera(make_detections(pixels), BOARD)
    assert fit.poor
    assert 300 < fit.camera.matrix[0, 0] < 1400
    assert np.abs(fit.camera.distortion).max() < 0.1
    assert np.nanmedian(fit.result.errors) < 1


def test_cameras_that_saw_too_little_are_named():
    pixels = np.full((4, 35, 2), np.nan)
    pixels[:, :5] = 100.0
    with pytest.raises(CalibrationError, match="'top': no frame shows 6 corners"):
        calibrate_camera(make_detections(pixels), BOARD)


@pytest.mark.parametrize("focal", [250.0, 640.0, 1500.0, 4000.0])
def test_guess_is_near(focal, rng):
    true = make_lens(focal=focal, shift=(60.0, 40.0))
    guess = guess_lens("top", SIZE, board=BOARD, pixels=view_board(true, rng, n=10))
    assert 0.6 < guess.matrix[0, 0] / focal < 1.7


@pytest.mark.parametrize("half", [(0.5, 1), (1, 0.5)])
def test_half_as_many_pixels_in_one_direction(half, rng):
    """Interlaced video taken apart: rows are twice as far apart as columns, or the reverse."""
    true = Camera("a", SIZE, [[600, 0, 310], [0, 602, 250], [0, 0, 1]], MILD_DISTORTION)
    pixels = (view_board(true, rng, n=25) + 0.5) * half - 0.5
    size = tuple(int(n * h) for n, h in zip(SIZE, half, strict=True))
    found = guess_lens("a", size, board=BOARD, pixels=pixels)
    assert found.matrix[1, 1] / found.matrix[0, 0] == pytest.approx(half[1] / half[0], rel=0.01)
    fit = calibrate_camera(BoardDetections("a", size, np.arange(25), pixels, 25), BOARD)
    wanted = true.matrix[[0, 1], [0, 1]] * half
    np.testing.assert_allclose(fit.camera.matrix[[0, 1], [0, 1]], wanted, rtol=0.02)
