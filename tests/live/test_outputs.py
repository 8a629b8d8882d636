import os
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

from mapose.errors import MissingExtraError, SettingsError
from mapose.live import Answer, CallbackOutput, Frame, SerialOutput, ZeroMQOutput, find_near
from mapose.live import outputs as room
from mapose.live.gathering import FrameSet
from mapose.live.outputs import Sender
from mapose.skeleton import Skeleton


def make_answer(number=0, *, apart=100.0, seen=True):
    """Two animals of one keypoint, so far apart; the second may be out of sight."""
    points = np.array([[[0.0, 0]], [[apart if seen else np.nan, 0]]])
    spread = np.broadcast_to(4 * np.eye(2), (2, 1, 2, 2))
    frame = Frame(np.zeros((4, 6), np.uint8), 1.0, number, 1.0)
    return Answer(
        frames=FrameSet({"top": frame}, 1.0, number),
        skeleton=Skeleton(["snout"]),
        individuals=("track0", "track1"),
        unit="px",
        points=points,
        covariance=spread,
        confidence=np.array([[0.9], [0.8]]),
        moment=1.05,
        predicted=points,
        predicted_covariance=spread,
        certainty=np.array([0.99, np.nan]),
        views={},
    )


def test_near_begins_ends_with_a_margin_and_keeps_its_state_while_one_is_not_seen():
    near = find_near(50)
    told = [near(make_answer(apart=d)) for d in (80, 52, 49, 55, 59, 61, 55)]
    assert told == [False, False, True, True, True, False, False]
    assert near(make_answer(apart=10)) and near(make_answer(seen=False))
    assert not find_near(50, individuals=["track0"])(make_answer(apart=1))
    with pytest.raises(SettingsError, match="distance above 0"):
        find_near(0)


def test_a_listener_gets_what_was_answered():
    zmq = pytest.importorskip("zmq")
    output = ZeroMQOutput("tcp://127.0.0.1:*")
    listener = zmq.Context.instance().socket(zmq.SUB)
    listener.setsockopt_string(zmq.SUBSCRIBE, "")
    listener.setsockopt(zmq.RCVTIMEO, 10_000)
    listener.connect(output.address)
    try:
        came = None
        while came is None:  # until the listener is known to the publisher
            output.send(make_answer(7, seen=False))
            came = listener.recv_json() if listener.poll(50) else None
        assert came["number"] == 7 and came["keypoints"] == ["snout"] and came["unit"] == "px"
        first, second = came["individuals"]["track0"], came["individuals"]["track1"]
        assert first == {
            "points": [[0.0, 0.0]],
            "predicted": [[0.0, 0.0]],
            "spread": [2.0],
            "confidence": [0.9],
            "certainty": 0.99,
        }
        assert second["points"] == [[None, 0.0]] and second["certainty"] is None
        assert came["moment"] - came["exposed"] == pytest.approx(0.05)
    finally:
        listener.close(linger=0)
        output.close()


def test_an_address_in_use_is_told():
    pytest.importorskip("zmq")
    output = ZeroMQOutput("tcp://127.0.0.1:*")
    try:
        with pytest.raises(SettingsError, match="wanted a free address"):
            ZeroMQOutput(output.address)
    finally:
        output.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_serial_line_is_switched_on_and_off():
    pytest.importorskip("serial")
    ours, theirs = os.openpty()
    try:
        output = SerialOutput(os.ttyname(theirs), find_near(50))
        for apart in (80, 40, 45, 80, 30):
            output.send(make_answer(apart=apart))
        output.close()  # off again, whatever it was
        came = b""
        while len(came) < 4:
            came += os.read(ours, 16)
        assert came == b"1010" and output.switched == 4
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_port_that_is_not_there_is_told():
    pytest.importorskip("serial")
    with pytest.raises(SettingsError, match="--serial: /nowhere/tty cannot be opened"):
        SerialOutput("/nowhere/tty", find_near(50))


def test_a_missing_library_is_one_line(monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(room.importlib, "import_module", refuse)
    with pytest.raises(MissingExtraError, match=r"pyzmq is missing: pip install 'mapose\[live\]'"):
        ZeroMQOutput()


def test_a_slow_output_gets_the_newest_and_holds_nobody_up():
    free, got = threading.Event(), []

    def take(answer):
        free.wait(30)
        got.append(answer.frames.number)

    sender = Sender(CallbackOutput(take))
    start = time.monotonic()
    for number in range(1000):
        sender.put(make_answer(number))
    assert time.monotonic() - start < 20  # 1000 waits would never end
    free.set()
    sender.close(timeout=30)
    assert got[-1] == 999 and got == sorted(got)
    assert len(got) + sender.lost["overtaken"] == 1000 and len(got) < 100


def test_a_broken_output_is_told_once_and_tried_again(caplog):
    calls = []

    def fail_at_first(answer):
        calls.append(answer.frames.number)
        if len(calls) < 3:
            raise OSError("no space left")

    sender = Sender(CallbackOutput(fail_at_first), patience=0.0)
    for number in range(6):
        sender.put(make_answer(number))
    sender.close()
    assert calls == list(range(6)) and +sender.lost == Counter(failed=2)
    assert caplog.text.count("no space left") == 1
