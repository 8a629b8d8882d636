import numpy as np
import pytest

from mapose.errors import SettingsError
from mapose.synthetic import Flaws, degrade, make_peaks, make_scene

PERFECT = Flaws(*[0.0] * 7)


@pytest.fixture(scope="module")
def truth():
    return make_scene(4, 1500, seed=6).truth()


def test_without_flaws_only_the_order_is_lost(truth, rng):
    found = degrade(truth, rng, flaws=PERFECT)
    assert found.individuals is None and found.array.shape == (1500, 5, 12, 3)
    assert found.rate == truth.rate and found.skeleton == truth.skeleton
    gap = np.linalg.norm(found.points[:, :, None] - truth.points[:, None], axis=-1).max(-1)
    nearest = np.where(np.isnan(gap), np.inf, gap).argmin(1)
    assert (np.where(np.isnan(gap), np.inf, gap).min(1) < 1e-4).all()
    assert len(np.unique(nearest[:, 0])) == 5  # slots are shuffled
    assert (np.isfinite(found.points).all((2, 3)).sum(1) == 4).all()


def test_flaws_are_as_frequent_as_asked(truth, rng):
    jittered = degrade(truth, rng, flaws=Flaws(2.0, 0, 0, 0, 0, 0, 0))
    gap = np.linalg.norm(jittered.points[:, :, None] - truth.points[:, None], axis=-1)
    nearest = np.nanmin(np.where(np.isnan(gap), np.inf, gap).mean(-1), axis=1)
    # Mean of a Rayleigh distribution, one in twenty three times as wide.
    assert nearest.mean() == pytest.approx(2 * np.sqrt(np.pi / 2) * 1.1, rel=0.03)
    holes = degrade(truth, rng, flaws=Flaws(0, 0.2, 0, 0, 0, 0, 0))
    assert (holes.confidence > 0).sum() / truth.confidence.size == pytest.approx(0.8, abs=0.01)
    lost = degrade(truth, rng, flaws=Flaws(0, 0, 0.1, 0, 0, 0, 0))
    assert (lost.confidence > 0).sum() / truth.confidence.size == pytest.approx(0.9, abs=0.02)
    false = degrade(truth, rng, flaws=Flaws(0, 0, 0, 0.3, 0, 0, 0))
    assert ((false.confidence > 0).any(-1).sum(1) == 5).mean() == pytest.approx(0.3, abs=0.04)
    assert false.confidence[false.confidence > 0].min() < 0.5


def test_close_animals_are_mixed_up(truth, rng):
    swapped = degrade(truth, rng, flaws=Flaws(0, 0, 0, 0, 0.2, 0, 0))
    mirrored = degrade(truth, rng, flaws=Flaws(0, 0, 0, 0, 0, 0.3, 0))
    merged = degrade(truth, rng, flaws=Flaws(0, 0, 0, 0, 0, 0, 1.0))
    for found in (swapped, mirrored):
        assert (found.confidence > 0).sum() == truth.confidence.size
        gap = np.linalg.norm(found.points[:, :, None] - truth.points[:, None], axis=-1).max(-1)
        whole = (np.where(np.isnan(gap), np.inf, gap).min(1) < 1e-4).mean()
        assert 0.1 < whole < 0.98
    animals = (merged.confidence > 0).any(-1).sum(1)
    assert animals.min() < 4 and (animals == 4).mean() > 0.5


def test_peaks_without_flaws_hang_together(truth, rng):
    part = truth.sel(frames=slice(0, 200))
    peaks = make_peaks(part, rng, flaws=PERFECT)
    n, edges = part.confidence.size, part.skeleton.edge_index
    assert len(peaks) == n and peaks.n_frames == 200
    assert len(peaks.pairs) == 200 * len(edges) * 16
    assert (peaks.keypoint[peaks.pairs] == edges[peaks.edge]).all()
    assert (peaks.frame[peaks.pairs[:, 0]] == peaks.frame[peaks.pairs[:, 1]]).all()
    order = np.lexsort((peaks.keypoint, peaks.frame))
    assert (order == np.arange(n)).all()
    # Peaks of a frame and keypoint come in the order of the individuals.
    owner = np.arange(n) % 4
    true = owner[peaks.pairs[:, 0]] == owner[peaks.pairs[:, 1]]
    assert true.mean() == 0.25
    assert np.median(peaks.affinity[true]) > 0.8 and np.median(peaks.affinity[~true]) < 0.1
    assert (peaks.affinity[~true] > 0.4).any()  # crossings are hard


def test_peaks_with_flaws(truth, rng):
    flaws = Flaws(jitter=1.0, missing=0.1, lost=0.0, spurious=0.5)
    peaks = make_peaks(truth.sel(frames=slice(0, 400)), rng, flaws=flaws)
    expected = 400 * 12 * (4 * 0.9 + 0.5)
    assert len(peaks) == pytest.approx(expected, rel=0.03)
    assert peaks.score.min() >= 0 and peaks.score.max() <= 1
    assert peaks.xy.dtype == peaks.affinity.dtype == np.float32


def test_absent_animals_make_no_peaks(truth, rng):
    part = truth.sel(frames=slice(0, 3))
    part.array[1] = np.nan
    part.array[..., 2][1] = 0
    peaks = make_peaks(part, rng, flaws=PERFECT)
    assert set(peaks.frame.tolist()) == {0, 2} and peaks.n_frames == 3
    assert np.isnan(degrade(part, rng).points[1]).mean() > 0.9


def test_flaws_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="missing"):
        Flaws(missing=1.5)
    with pytest.raises(SettingsError, match="jitter"):
        Flaws(jitter=-1)
