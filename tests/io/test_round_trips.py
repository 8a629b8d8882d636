"""Export and read back is the identity, or what is lost is told: all formats, all legal names."""

import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mapose.errors import FormatError
from mapose.io import read, read_labels, write
from mapose.io.coco import write_coco_labels
from mapose.io.deeplabcut_project import write_deeplabcut_project
from mapose.io.formats import ENDINGS
from mapose.io.images import write_image
from mapose.io.labels import load_labels, save_labels
from mapose.io.losses import find_losses
from mapose.io.sleap import write_slp_labels
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.skeleton import Skeleton

AWKWARD = [
    "paw, left", '5"', '"paw"', "'", "a;b", "tab\there", "line\nbreak", "return\rhere", "a  b",
    "007", "1.10", "1e3", "-1", "nan", "NaN", "NA", "None", "null", "True", "x", "y", "likelihood",
    "bodyparts", "coords", "scorer", "set", "single", "a_x", "a_error", "a.x", "näse", "鼻",
    "👃", "e\u0301", "a\u2028b", "a/b", "a\\b", ".", "..", "#", "=1+1", "%s", "{}", "slot0",
    "track",
]  # fmt: skip
# Found faults are rare, and shrinking them takes minutes: a reader takes them as they come.
QUICK = settings(
    max_examples=int(os.environ.get("MAPOSE_EXAMPLES", "8")),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NAMES = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
        lambda text: text.strip() == text and text
    ),
)


def make_poses(draw: Callable[[Any], Any], dimensions: int) -> Poses:
    """Draw poses with awkward names, gaps and companions."""
    keypoints = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    count = draw(st.integers(1, 3))
    named = draw(st.booleans())
    individuals = draw(st.lists(NAMES, min_size=count, max_size=count, unique=True))
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    array = rng.uniform(0.2, 0.9, (n, count, len(keypoints), dimensions + 1)).astype(np.float32)
    array[..., :-1] = array[..., :-1] * 800 - 100
    array[rng.random(array.shape[:3]) < draw(st.sampled_from([0, 0.3, 0.7]))] = np.nan
    if not np.isfinite(array).any():
        array[0, 0, 0] = 0.5
    pairs = list(pairwise(keypoints))
    steps = rng.integers(1, 4, n) if draw(st.booleans()) else np.ones(n, int)
    return Poses(
        array,
        Skeleton(keypoints, pairs, pairs[:1]),
        individuals if named else None,
        rate=draw(st.sampled_from([None, 25, 29.97, 30000 / 1001])),
        unit="px" if dimensions == 2 else draw(st.sampled_from(["mm", "m", "cm"])),
        frames=np.cumsum(steps) + draw(st.sampled_from([-1, 10, 99_999])),
        identity=rng.uniform(0.5, 1, (n, count)) if named and draw(st.booleans()) else None,
    )


def assert_comes_back(poses: Poses, again: Poses, lost: set[str]) -> None:
    """Compare all that was not told to be lost."""
    assert again.skeleton.keypoints == poses.skeleton.keypoints
    if "unseen" in lost:
        seen = np.flatnonzero(poses.find_present().any(0))
        poses = poses.take(individuals=seen)
    if "gaps" in lost:
        again = again.sel(frames=poses.frames)
    if "end" in lost:
        poses = poses.take(slice(0, len(again)))
    if "slots" not in lost:
        assert again.names == poses.names or ("name" in lost and len(again.names) == 1)
        np.testing.assert_array_equal(again.frames, poses.frames)
        atol = 1e-5 if poses.dimensions == 3 else 0  # trc is written to a millionth
        np.testing.assert_allclose(again.points, poses.points, rtol=2e-7, atol=atol)
        if "confidence" not in lost:
            np.testing.assert_allclose(again.confidence, poses.confidence, rtol=2e-7)
    else:
        np.testing.assert_array_equal(again.find_present().sum(1), poses.find_present().sum(1))
    if not lost & {"rate", "untimed"}:
        assert again.rate == pytest.approx(poses.rate, rel=1e-9) if poses.rate else not again.rate
    if "unit" not in lost:
        assert again.unit == poses.unit
    for name in {"edges", "mirror"} - lost:
        assert getattr(again.skeleton, name) == getattr(poses.skeleton, name)
    if "identity" not in lost and poses.identity is not None:
        assert again.identity is not None
        there = poses.find_present()
        np.testing.assert_allclose(again.identity[there], poses.identity[there], rtol=1e-6)


def _needs(format: str) -> None:
    if format == "dlc-h5" and find_spec("tables") is None:
        pytest.skip("PyTables is not installed")
    if format == "nwb" and find_spec("ndx_pose") is None:
        pytest.skip("ndx-pose is not installed")


@pytest.mark.parametrize("format", [f for f in ENDINGS if f not in ("coco", "trc")])
@QUICK
@given(data=st.data())
def test_poses_in_pixels(format: str, data: st.DataObject) -> None:
    _needs(format)
    check_round_trip(make_poses(data.draw, 2), format)


@pytest.mark.parametrize("format", [f for f in ENDINGS if f not in ("coco", "slp")])
@QUICK
@given(data=st.data())
def test_poses_in_space(format: str, data: st.DataObject) -> None:
    _needs(format)
    check_round_trip(make_poses(data.draw, 3), format)


def check_round_trip(poses: Poses, format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"r{ENDINGS[format]}"
        try:
            write(poses, path, format)
        except FormatError as error:
            # A format may refuse what it cannot hold: it says what.
            assert "name" in str(error)
            assert format in ("trc", "csv") and poses.dimensions == 3
            return
        assert_comes_back(poses, read(path), set(find_losses(poses, format)))


def make_labels(draw: Callable[[Any], Any], folder: Path) -> Labels:
    """Draw labels of two videos with awkward names, and write an image of each frame."""
    keypoints = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    individuals = draw(st.lists(NAMES, min_size=2, max_size=3, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    points = rng.uniform(1, 30, (4, len(individuals), len(keypoints), 2)).round(2)
    points[rng.random(points.shape[:3]) < 0.2] = np.nan
    points[:, :, 0] = 5  # everybody is seen in every frame
    videos, frames = ("007", "007", "1.10", "1.10"), np.array([3, 12, 3, 100_000])
    images = [folder / v / f"img{f:06d}.png" for v, f in zip(videos, frames, strict=True)]
    for n, image in enumerate(images):
        write_image(np.full((32, 40), 20 * n, np.uint8), image)
    pairs = list(pairwise(keypoints))
    skeleton = Skeleton(keypoints, pairs)
    return Labels(points, skeleton, videos, frames, tuple(images), tuple(individuals), True)


@pytest.mark.parametrize("format", ["ours", "dlc", "slp", "coco"])
@QUICK
@given(data=st.data())
def test_labels(format: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = make_labels(data.draw, folder / "labels")
        if format == "ours":
            save_labels(labels, folder / "labels")
            again = load_labels(folder / "labels", labels.skeleton, identified=True)
        else:
            if format == "dlc":
                place = write_deeplabcut_project(labels, folder / "dlc")
            else:
                place = folder / f"l{ENDINGS[format]}"
                (write_slp_labels if format == "slp" else write_coco_labels)(labels, place)
            again = read_labels(place)
        assert again.skeleton.keypoints == labels.skeleton.keypoints
        assert again.skeleton.edges == labels.skeleton.edges
        assert again.videos == labels.videos
        assert format == "slp" or again.frames.tolist() == labels.frames.tolist()
        assert all(image and image.is_file() for image in again.images)
        order = [again.individuals.index(name) for name in labels.individuals]
        np.testing.assert_allclose(again.points[:, order], labels.points, atol=1e-3)
