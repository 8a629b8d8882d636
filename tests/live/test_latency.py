import numpy as np

from mapose.live import Histogram, Latency


def test_percentiles_are_those_of_the_times_within_3_per_cent():
    times = np.random.default_rng(0).lognormal(-3, 0.7, 20_000)
    found = Histogram()
    for seconds in times:
        found.add(seconds)
    for percent in (1, 50, 95, 99):
        assert abs(found.find_percentile(percent) / np.percentile(times, percent) - 1) < 0.03
    assert found.longest == times.max()


def test_nothing_is_lost_beyond_the_ends():
    found = Histogram()
    for seconds in (0.0, 1e-9, 1e6):
        found.add(seconds)
    assert found.counts.sum() == 3 and found.find_percentile(100) <= 1e6
    assert np.isnan(Histogram().find_percentile(50))


def test_the_table_names_the_stages():
    latency = Latency()
    latency.add({"network": 0.010, "tracking": 0.001})
    latency.add({"network": 0.030, "tracking": 0.001})
    table = str(latency).splitlines()
    assert [row.split()[0] for row in table] == ["stage", "network", "tracking"]
    assert latency.to_dict()["network"]["longest"] == 30.0
