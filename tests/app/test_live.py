"""The page of a live run, asked and opened in a browser."""

import json
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

from calibration import CameraGroup
from calibration.synthetic import make_ring
from mapose.app.live import LiveView
from mapose.app.serving import show_live
from mapose.live import Answer, Frame, Latency, LiveReport
from mapose.live.gathering import FrameSet
from mapose.skeleton import Skeleton


def make_answer(number):
    """Two animals of two keypoints, seen by two cameras; the second one's tail is not seen."""
    points = np.array([[[0.0, 0, 0], [30, 0, 0]], [[0, 90, 5], [np.nan, 90, 5]]])
    picture = np.full((60, 80, 3), 40 + number, np.uint8)
    frames = {name: Frame(picture, 1.0, number, 1.0) for name in ("cam0", "cam1")}
    spread = np.broadcast_to(np.eye(3), (2, 2, 3, 3))
    view = np.ones((2, 2, 3), np.float32) * [[[20], [40]], [[30], [np.nan]]]
    return Answer(
        frames=FrameSet(frames, 1.0, number),
        skeleton=Skeleton(["snout", "tail"], [("snout", "tail")]),
        individuals=("track0", "track1"),
        unit="mm",
        points=points,
        covariance=spread,
        confidence=np.ones((2, 2)),
        moment=1.04,
        predicted=points,
        predicted_covariance=spread,
        certainty=np.array([0.9, 0.8]),
        views={name: view.astype(np.float32) for name in frames},
    )


@pytest.fixture
def shown():
    """A run that is shown, and its address."""
    latency = Latency()
    latency.add({"network": 0.03, "exposure to output": 0.04})
    view = LiveView(CameraGroup(list(make_ring(2)), "mm"))
    for number in range(3):
        view.send(make_answer(number))
    view.note(LiveReport(2.0, 3, latency, {"overtaken": 7}))
    addresses = []
    with show_live(view, on_start=addresses.append):
        yield view, addresses[0]


def ask(address, path):
    parts = urllib.parse.urlsplit(address)
    token = urllib.parse.parse_qs(parts.query)["token"][0]
    cookie = f"mapose-{parts.port}={token}"
    request = urllib.request.Request(f"http://{parts.netloc}{path}", headers={"Cookie": cookie})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def find_refusal(address, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(address, path)
    with refused.value as answer:
        return answer.code


def test_the_newest_answer_and_its_pictures_are_there(shown):
    view, address = shown
    found = json.loads(ask(address, "/api/live"))
    answer = found["answer"]
    assert answer["number"] == 2 and answer["age"] == pytest.approx(0.04)
    assert answer["views"]["cam0"] == {
        "size": [80, 60],
        "points": [[[20, 20], [40, 40]], [[30, 30], [None, None]]],
    }
    assert answer["individuals"]["track1"]["predicted"][1] == [None, 90.0, 5.0]
    assert [c["name"] for c in answer["cameras"]] == list(make_ring(2).names)
    assert all(len(c["corners"]) == 5 for c in answer["cameras"])
    assert found["report"]["lost"] == {"overtaken": 7} and not found["ended"]
    assert ask(address, "/live/cam0/1").startswith(b"\xff\xd8")  # JPEG
    view.close()
    assert json.loads(ask(address, "/api/live"))["ended"]


@pytest.mark.parametrize("place", ["cam0/9", "nobody/1", "..%2F/1", "cam0/x"])
def test_what_is_gone_or_never_was_is_refused(shown, place):
    assert find_refusal(shown[1], f"/live/{place}") in (400, 404)


def test_without_the_secret_nothing_is_shown(shown):
    address = shown[1].partition("?")[0] + "?token=guessed"
    assert find_refusal(address, "/api/live") == 403
