"""Frames kept for testing: by share, by whole videos, in equal parts."""

from dataclasses import replace

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
    train, validation, test = split_frames(make_labels(), TrainSettings(test=0.2))
    assert len(train) == 11 and len(validation) == 2 and len(test) == 3
    assert np.sort(np.concatenate([train, validation, test])).tolist() == list(range(16))
    assert not len(split_frames(make_labels(), TrainSettings(test=0)).test)
    assert len(split_frames(make_labels(2, 1), TrainSettings(test=0.01)).test) == 1
    other = split_frames(make_labels(), TrainSettings(test=0.2, seed=1)).test
    assert other.tolist() != test.tolist()
    same = split_frames(make_labels(), TrainSettings(test=0.2, seed=1, split_seed=0)).test
    assert same.tolist() == test.tolist()


def test_what_is_kept_for_validation_does_not_change_the_test_frames() -> None:
    labels = make_labels(100)
    splits = [split_frames(labels, TrainSettings(validation=v)) for v in (0, 0.2, None)]
    assert [len(split.validation) for split in splits] == [0, 18, 9]
    assert len({tuple(split.test) for split in splits}) == 1


def test_animals_seen_together_are_not_parted() -> None:
    points = np.full((12, 4, 1, 2), np.nan, np.float32)
    pairs = [(0, 2), (2,), (1,), (3,)] * 3  # 0 and 2 meet
    for row, animals in enumerate(pairs):
        points[row, list(animals)] = 1
    fresh = {"individuals": tuple("abcd"), "states": None, "origins": None}
    labels = replace(make_labels(12), points=points, **fresh)
    settings = TrainSettings(split="animal", test=0.4, validation=0)
    train, _, test = split_frames(labels, settings)
    seen = [{i for row in rows for i in pairs[row]} for rows in (train, test)]
    assert not seen[0] & seen[1] and len(seen[0] | seen[1]) == 4 and len(test) in (3, 6)
    points[2:4, 0] = 1  # now all have met
    with pytest.raises(SettingsError, match="together count as one"):
        split_frames(replace(labels, points=points), settings)


def test_whole_videos_are_kept() -> None:
    labels = make_labels()
    split = split_frames(labels, TrainSettings(test=0.25, split="video"))
    videos = [{labels.videos[i] for i in rows} for rows in (split.train, split.test)]
    assert len(videos[1]) == 1 and len(videos[0]) == 3 and not videos[0] & videos[1]
    with pytest.raises(SettingsError, match="at least 2 videos with labels, there are 1"):
        split_frames(make_labels(videos=1), TrainSettings(split="video"))


@pytest.mark.parametrize("split", ["frame", "video"])
def test_every_frame_is_tested_with_once(split: str) -> None:
    parts = [
        split_frames(make_labels(17), TrainSettings(folds=4, fold=k, split=split)).test
        for k in range(4)
    ]
    assert np.sort(np.concatenate(parts)).tolist() == list(range(17))
    assert {len(p) for p in parts} <= {4, 5}
    with pytest.raises(SettingsError, match="at least 20 frames"):
        split_frames(make_labels(17), TrainSettings(folds=20))


def test_too_few_labels_are_told() -> None:
    with pytest.raises(FormatError, match="at least two frames"):
        split_frames(make_labels(1, 1), TrainSettings())
