import numpy as np
import pytest

from calibration import CalibrationError
from calibration.synchronization.frame_offsets import find_frame_offsets
from calibration.synthetic import make_ring
from tests.calibration.walkers import delay, read_people, walk, watch

# Every offset from -25 to 25 comes once, in cameras of scenes of their own.
OFFSETS = np.arange(-25, 26)


def film(seed, n_frames, *, cameras=3, n_animals=1, offsets=(), **flaws):
    rng = np.random.default_rng(seed)
    ring = make_ring(cameras, seed=seed)
    seen = watch(ring, walk(rng, n_frames, n_animals=n_animals), rng, **flaws)
    shifts = [0, *offsets, *[0] * cameras][:cameras]
    pixels = {c.name: delay(p, o) for c, p, o in zip(ring, seen, shifts, strict=True)}
    return ring, pixels, dict(zip(ring.names, shifts, strict=True))


@pytest.mark.parametrize("part", range(3))
def test_offsets_are_found_exactly(part):
    for seed, pair in enumerate(OFFSETS.reshape(3, 17)[part][:16].reshape(-1, 2).tolist()):
        ring, pixels, truth = film(seed, 150, offsets=pair)
        found = find_frame_offsets(pixels, ring, max_offset=52)
        assert found.offsets == truth
        assert found.sure, str(found)
        assert max(abs(found.shifts[n] - truth[n]) for n in truth) < 0.3


def test_animals_may_be_in_any_order_in_each_view(rng):
    ring, pixels, truth = film(5, 150, cameras=4, n_animals=3, offsets=(7, -11, 3))
    for name, seen in pixels.items():
        pixels[name] = seen[:, rng.permutation(3)]
    pixels["cam1"] = pixels["cam1"][:, :2]
    found = find_frame_offsets(pixels, ring, max_offset=30)
    assert found.offsets == truth
    assert found.sure


def test_a_clock_that_drifts_is_found(rng):
    ring = make_ring(3, seed=2)
    points = walk(rng, 600)
    seen = watch(ring, points, rng)
    late = np.clip(np.rint((np.arange(600) - 5 + 2) / (1 + 4 / 599)), 0, 599).astype(int)
    pixels = {"cam0": seen[0], "cam1": seen[1][late], "cam2": seen[2]}
    found = find_frame_offsets(pixels, ring, max_offset=15, max_drift=8)
    assert found.drifts["cam1"] == pytest.approx(4, abs=1)
    assert found.drifts["cam2"] == 0
    assert found.offsets == {"cam0": 0, "cam1": 5, "cam2": 0}
    assert found.find_shift("cam1", [0, 599]) == pytest.approx([3, 7], abs=0.8)


def test_equal_clocks_do_not_drift():
    ring, pixels, truth = film(8, 300, offsets=(4, -2))
    found = find_frame_offsets(pixels, ring, max_offset=15, max_drift=6)
    assert found.offsets == truth
    assert set(found.drifts.values()) == {0.0}


def test_rhythm_alone_gives_a_first_guess(rng):
    # Animals that run and rest, as they do.
    ring = make_ring(3, seed=4)
    run = np.repeat(rng.random(40) < 0.5, 25)
    frames = np.cumsum(run).clip(0, 999)
    points = walk(rng, 1000)[frames]
    seen = watch(ring, points, rng, noise=0.3, false=0)
    pixels = {"cam0": seen[0], "cam1": delay(seen[1], 240), "cam2": delay(seen[2], -70)}
    found = find_frame_offsets(pixels, max_offset=400)
    assert abs(found.offsets["cam1"] - 240) <= 1
    assert abs(found.offsets["cam2"] + 70) <= 1


def test_animals_at_rest_tell_nothing(rng):
    ring = make_ring(3)
    points = np.repeat(walk(rng, 1), 120, axis=0)
    pixels = dict(zip(ring.names, watch(ring, points, rng), strict=True))
    found = find_frame_offsets(pixels, ring, max_offset=20)
    assert not found.sure
    assert "do not tell" in str(found)


def test_many_cameras(rng):
    ring, pixels, truth = film(3, 120, cameras=8, offsets=(3, -4, 5, -6, 7, -8, 9))
    assert find_frame_offsets(pixels, ring, max_offset=20).offsets == truth


def test_wrong_calls_are_told():
    ring, pixels, _ = film(0, 20)
    with pytest.raises(CalibrationError, match="at least two"):
        find_frame_offsets({"cam0": pixels["cam0"]}, ring)
    with pytest.raises(CalibrationError, match="as many frames"):
        find_frame_offsets({**pixels, "cam1": pixels["cam1"][:9]}, ring)
    with pytest.raises(CalibrationError, match="individuals, keypoints"):
        find_frame_offsets({**pixels, "cam1": pixels["cam1"][0]}, ring)
    with pytest.raises(CalibrationError, match="cam9"):
        find_frame_offsets({**pixels, "cam9": pixels["cam1"]}, ring)
    with pytest.raises(CalibrationError, match="at least 1 frame"):
        find_frame_offsets(pixels, ring, max_offset=0)


@pytest.mark.parametrize(
    ("clip", "offsets"), [("one_person", (25, -25, 8)), ("two_people", (-17, 3, 21))]
)
def test_people_of_a_lab_are_synchronized(recordings, clip, offsets):
    cameras, _, pixels = read_people(recordings, clip)
    shifts = dict(zip(cameras.names, (0, *offsets), strict=True))
    room = ((25, 25), (0, 0), (0, 0), (0, 0))
    late = {
        name: delay(np.pad(seen, room, constant_values=np.nan), shifts[name])
        for name, seen in pixels.items()
    }
    assert find_frame_offsets(late, cameras, max_offset=50).offsets == shifts
