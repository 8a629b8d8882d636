"""Animals that touch are said to, and no name is certain to exactly 1."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import mapose
from mapose import Poses, Skeleton, match_views
from mapose.cli import app
from mapose.doubts import MOST_SURE, find_touches
from mapose.io import save
from mapose.synthetic import make_scene


def walk_past(apart):
    """Two animals of 20 px that pass each other at a distance, 60 frames."""
    body = np.array([[0.0, 0], [10, 0], [20, 0]])
    array = np.ones((60, 2, 3, 3))
    way = np.linspace(-150, 145, 60)
    array[:, 0, :, :2] = body + np.stack([way, 0 * way], -1)[:, None]
    array[:, 1, :, :2] = body + np.stack([-way, 0 * way + apart], -1)[:, None]
    skeleton = Skeleton(["nose", "middle", "tail"], [("nose", "middle"), ("middle", "tail")])
    return Poses(array, skeleton, ["ann", "bob"], 25)


def test_touches_are_moments_in_which_keypoints_lie_on_each_other():
    (touch,) = find_touches(walk_past(0.5), within=6)
    assert touch[2:] == ("ann", "bob") and 25 <= touch[0] <= touch[1] <= 34
    assert find_touches(walk_past(30)) == []
    # By default 5 % of a body's length, 1 px here; frames without an animal touch nothing.
    near = walk_past(0.5)
    assert find_touches(near)
    gone = near.array.copy()
    gone[20:40, 1, :, :2], gone[20:40, 1, :, 2] = np.nan, 0
    assert find_touches(replace(near, array=gone)) == []


def test_no_name_is_certain_to_exactly_one():
    tracked = mapose.track(walk_past(200), individuals=2)
    assert np.nanmax(tracked.identity) == pytest.approx(MOST_SURE) and MOST_SURE < 1
    scene = make_scene(2, 40, cameras=3)
    views = {name: scene.truth(name) for name in scene.cameras.names}
    for view in match_views(views, scene.cameras).values():
        assert np.nanmax(view.identity) < 1


def test_swaps_tells_of_meetings_that_were_clear(tmp_path):
    save(walk_past(0.5), tmp_path / "a.mapose.h5")
    told = CliRunner().invoke(app, ["swaps", str(tmp_path / "a.mapose.h5")])
    assert told.exit_code == 0
    assert "no doubtful moments" in told.output and "in 1 moments" in told.output
    told = CliRunner().invoke(app, ["swaps", str(tmp_path / "a.mapose.h5"), "--json"])
    (touch,) = json.loads(told.output)["touches"]
    assert touch["individuals"] == ["ann", "bob"] and touch["first"] <= touch["last"]


@pytest.mark.parametrize(
    ("file", "least"),
    [("flies_courtship/predictions.slp", 15), ("flies_pair_noisy/centered_pair", 10)],
)
def test_real_flies_touch(recordings, file, least):
    path = next((recordings / file).parent.glob(f"{(recordings / file).name}*.slp"), None)
    poses = mapose.read(path or recordings / file).take(slice(0, None))
    tracked = mapose.track(poses, individuals=2)
    touches = find_touches(tracked)
    assert len(touches) >= least and np.nanmax(tracked.identity) < 1
