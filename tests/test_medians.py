"""Medians found by going through numbers twice are those of numpy, to the last bit."""

import tracemalloc

import numpy as np
import pytest

from mapose.medians import MedianFinder

NUMBERS = {
    "many": lambda rng: rng.lognormal(0, 2, 10_001),
    "an even count": lambda rng: rng.uniform(0, 1e-3, 5000),
    "two far apart": lambda rng: np.array([1e-300, 1e300]),
    "zeros": lambda rng: np.r_[np.zeros(60), -np.zeros(20), np.ones(80)],
    "all the same": lambda rng: np.full(99, 0.1),
    "single precision": lambda rng: rng.uniform(0, 1, 777).astype(np.float32),
    "one": lambda rng: np.array([3.0]),
    "none": lambda rng: np.zeros(0),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_medians_are_those_of_numpy(kind, rng):
    numbers, finder = NUMBERS[kind](rng), MedianFinder()
    parts = np.array_split(numbers, 7)
    for take in (finder.count, finder.sift):
        for part in parts:
            take(part)
    wanted = np.median(numbers.astype(np.float64)) if len(numbers) else np.nan
    np.testing.assert_array_equal(finder.find(), wanted)
    assert finder.total == len(numbers)


def test_equal_numbers_are_held_once(rng):
    finder = MedianFinder()
    numbers = np.repeat([2.0, 7.0], [900_000, 100])
    tracemalloc.start()
    for take in (finder.count, finder.sift):
        for part in np.array_split(numbers, 200):
            take(part)
    assert finder.find() == 2
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()
