"""Frames kept for testing: by share, by whole videos, in equal parts."""

import numpy as np
import pytest

from mapose.config import TrainSettings
from mapose.errors import FormatError, SettingsError
from mapose.labels import Labels
from mapose.skeleton import Skeleton
from mapose.training.split import split_frames


def make_labels(frames: int = 16, videos: int = 4) -> Labels:
    names = tuple(f"v{i % videos}" for i in range(frames))
    points = np.ones((frames, 1, 1, 2), np.float32)
    images = (None,) * frames
    return Labels(points, Skeleton(["a"]), names, np.arange(frames), images, ("x",))


def test_a_share_is_kept_and_nothing_is_in_both() -> None:
    train, test = split_frames(make_labels(), TrainSettings(test=0.2))
    assert len(train) == 13 and len(test) == 3 and not set(train) & set(test)
    assert not len(split_frames(make_labels(), TrainSettings(test=0))[1])
    assert len(split_frames(make_labels(2, 1), TrainSettings(test=0.01))[1]) == 1
    other = split_frames(make_labels(), TrainSettings(test=0.2, seed=1))[1]
    assert other.tolist() != test.tolist()


def test_whole_videos_are_kept() -> None:
    labels = make_labels()
    train, test = split_frames(labels, TrainSettings(test=0.25, split="video"))
    videos = [{labels.videos[i] for i in rows} for rows in (train, test)]
    assert len(videos[1]) == 1 and len(videos[0]) == 3 and not videos[0] & videos[1]
    with pytest.raises(SettingsError, match="at least 2 videos with labels, there are 1"):
        split_frames(make_labels(videos=1), TrainSettings(split="video"))


@pytest.mark.parametrize("split", ["frame", "video"])
def test_every_frame_is_tested_with_once(split: str) -> None:
    parts = [
        split_frames(make_labels(17), TrainSettings(folds=4, fold=k, split=split))[1]
        for k in range(4)
    ]
    assert np.sort(np.concatenate(parts)).tolist() == list(range(17))
    assert {len(p) for p in parts} <= {4, 5}
    with pytest.raises(SettingsError, match="at least 20 frames"):
        split_frames(make_labels(17), TrainSettings(folds=20))


def test_too_few_labels_are_told() -> None:
    with pytest.raises(FormatError, match="at least two frames"):
        split_frames(make_labels(1, 1), TrainSettings())
