import numpy as np
import pytest

from mapose import demo
from mapose.errors import SettingsError
from mapose.io import Video, load
from mapose.project import Project


def test_a_short_demo_makes_all_it_promises(tmp_path, monkeypatch):
    """The sentence from drawing to figures; too short to be accurate."""
    monkeypatch.setattr(demo, "FRAMES", 60)
    monkeypatch.setattr(demo, "LABELLED", 20)
    stages = []
    result = demo.run_demo(
        tmp_path / "demo",
        minutes=0.1,
        on_progress=lambda stage, *_: stages.append(stage),
    )
    assert list(dict.fromkeys(stages)) == ["drawing", "training", "analysing", "rendering"]
    poses = load(tmp_path / "demo" / "results" / "arena.mapose.h5")
    assert poses.array.shape[:2] == (60, 3)
    # 54 labelled animals are enough to learn where keypoints lie, left as right.
    anatomy = Project.load(tmp_path / "demo").load_model().anatomy
    assert np.isfinite(anatomy.mean).all() and (np.linalg.eigvalsh(anatomy.covariance) > 0).all()
    with Video(result.video) as video:
        assert len(video) == 60 and video.size == (480, 360)
    assert all(p.stat().st_size > 5000 for p in result.plots) and len(result.plots) == 5
    assert result.comparison.left_out == 18 and result.comparison.frames == 42
    assert "IDF1" in str(result) and str(result.video) in str(result)
    with pytest.raises(SettingsError, match="exists already"):
        demo.run_demo(tmp_path / "demo")
