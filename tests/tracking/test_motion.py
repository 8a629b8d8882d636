import numpy as np
import pytest

from mapose.tracking.motion import DECAY, KalmanBank, RunningMedian


def test_predicts_a_steady_walk():
    bank = KalmanBank()
    bank.start(np.array([[0.0, 0.0], [100.0, 50.0]]), noise=1, speed=5)
    step = np.array([[2.0, 1.0], [-3.0, 0.0]])
    place = np.array([[0.0, 0.0], [100.0, 50.0]])
    for _ in range(40):
        place = place + step
        bank.predict(acceleration=1.0)
        bank.update(np.arange(2), place - bank.centres, noise=0.5)
    np.testing.assert_allclose(bank.centres, place, atol=0.3)
    bank.predict(1.0)
    np.testing.assert_allclose(bank.centres, place + DECAY * step, atol=0.6)


def test_agrees_with_filterpy():
    from filterpy.kalman import KalmanFilter

    rng = np.random.default_rng(0)
    bank = KalmanBank()
    bank.start(np.array([[3.0, -2.0]]), noise=2.0, speed=4.0)
    theirs = KalmanFilter(dim_x=2, dim_z=1)
    theirs.x, theirs.P = np.array([[3.0], [0.0]]), np.diag([4.0, 16.0])
    theirs.F, theirs.H = np.array([[1.0, DECAY], [0.0, DECAY]]), np.array([[1.0, 0.0]])
    theirs.Q = np.array([[0.25, 0.5], [0.5, 1.0]]) * 0.7**2
    theirs.R = np.array([[1.5**2]])
    for _ in range(20):
        seen = rng.normal(0, 5, 2)
        bank.predict(0.7)
        bank.update(np.array([0]), seen[None] - bank.centres, noise=1.5)
        theirs.predict()
        theirs.update(seen[:1])
        np.testing.assert_allclose(bank.state[0, :, 0], theirs.x[:, 0], atol=1e-9)
        np.testing.assert_allclose(bank.covariance[0], theirs.P, atol=1e-9)


def test_grows_less_sure_while_nothing_is_seen():
    bank = KalmanBank(dimensions=3)
    bank.start(np.zeros((1, 3)), noise=1, speed=1)
    spread = []
    for _ in range(5):
        bank.predict(0.5)
        spread.append(bank.variances[0])
    assert (np.diff(spread) > 0).all()


def test_keeps_the_marked_filters():
    bank = KalmanBank()
    bank.start(np.array([[0.0, 0], [1, 1], [2, 2]]), noise=1, speed=1)
    bank.keep(np.array([True, False, True]))
    assert bank.centres.tolist() == [[0, 0], [2, 2]]
    assert len(bank) == 2


def test_running_median_comes_near_the_median(rng):
    median = RunningMedian()
    for row in rng.lognormal(3, 0.4, (2000, 3)):
        median.add(row)
    assert median.value == pytest.approx(np.exp(3), rel=0.1)


def test_running_median_passes_over_nothing():
    median = RunningMedian()
    median.add(np.array([np.nan]))
    median.add(np.empty(0))
    assert median.value is None
    median.add(np.array([4.0, np.nan]))
    assert median.value == 4
