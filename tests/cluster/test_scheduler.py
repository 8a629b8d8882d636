"""A Dask cluster does the same tasks."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import mapose
from mapose.cli import app
from mapose.cluster import open_scheduler
from mapose.errors import SettingsError
from mapose.io import VideoWriter
from tests.untrained import make_untrained


def test_without_dask_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r"mapose\[cluster\]"), open_scheduler("tcp://x:1"):
        pass


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as started:
        yield started


@pytest.mark.filterwarnings("default")  # those of Dask are not ours
def test_a_cluster_analyses_videos(tmp_path, monkeypatch, cluster):
    make_untrained(lively=True).save(tmp_path / "model")
    for name in "ab":
        with VideoWriter(tmp_path / f"{name}.mp4", 25) as writer:
            for level in range(9):
                writer.write(np.full((64, 64), 20 * level, np.uint8))
    (tmp_path / "c.mp4").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)  # paths are relative, and the worker may be elsewhere
    words = [
        "analyze",
        "model",
        "a.mp4",
        "b.mp4",
        "c.mp4",
        "--scheduler",
        cluster.scheduler_address,
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1 and "2 done, 1 failed; 18 frames" in done.stdout
    assert len(mapose.load(tmp_path / "b.mapose.h5")) == 9


def test_where_nobody_answers_it_is_told(monkeypatch):
    pytest.importorskip("distributed", reason="needs Dask: pip install distributed")
    monkeypatch.setattr("mapose.cluster.scheduler._PATIENCE", 0.2)
    with pytest.raises(SettingsError, match="no Dask scheduler answers at"):  # noqa: SIM117
        with open_scheduler("tcp://127.0.0.1:9"):
            pass
