"""Labels of tools that write down what is drawn in each image: animals with named points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mapose.arrays import Ints
from mapose.errors import FormatError
from mapose.io.instances import assign_columns, fill_array
from mapose.io.picture_sizes import hold_sizes, hold_videos
from mapose.io.sources import find_frame_numbers, find_own_name, find_sources, name_videos
from mapose.labels import OCCLUDED, VISIBLE, Labels
from mapose.skeleton import Skeleton


@dataclass
class Animal:
    """One animal in one image.

    Parameters
    ----------
    label : str
        What kind of thing it is, by the tool.
    track : str, optional
        Which animal it is, where the tool says so.
    points : dict of str to (float, float)
        By keypoint, px.
    hidden : set of str
        Keypoints that are marked as occluded.
    """

    label: str = ""
    track: str | None = None
    points: dict[str, tuple[float, float]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)


@dataclass
class Sheet:
    """All that is drawn in one image.

    Parameters
    ----------
    name : str
        Path of the image, as the tool gives it.
    size : (int, int), optional
        Its width and height, as the tool says.
    animals : list of Animal
        In it.
    """

    name: str
    size: tuple[int, int] | None = None
    animals: list[Animal] = field(default_factory=list)

    def put(
        self, group: str, keypoint: str, xy: tuple[float, float], *, hidden: bool = False
    ) -> str:
        """Add a point to the animal of a group; say so if the animal has it already."""
        animal = next((a for a in self.animals if a.label == group), None)
        if animal is None:
            animal = Animal(group)
            self.animals.append(animal)
        if keypoint in animal.points:
            return (
                f"{self.name}: {keypoint} is there twice and nothing says of which animal: group "
                "the points of each animal; the second is left out"
            )
        animal.points[keypoint] = xy
        if hidden:
            animal.hidden.add(keypoint)
        return ""


def lay_out(
    sheets: Sequence[Sheet],
    images: Sequence[Path | None],
    path: Path,
    *,
    skeleton: Skeleton | None = None,
    videos: Sequence[str] | None = None,
    numbers: Ints | None = None,
    left_out: Sequence[str] = (),
) -> Labels:
    """Make labels of what is drawn in images.

    Parameters
    ----------
    sheets : sequence of Sheet
        One per image.
    images : sequence of Path or None
        Where each image lies.
    path : Path
        Of the labels.
    skeleton : Skeleton, optional
        By default the keypoints in the order in which they come.
    videos : sequence of str, optional
        Of each image; by default named after the folders of the images.
    numbers : int64, optional
        Frame numbers; by default read in the names of the images.
    left_out : sequence of str
        What could not be used.

    Raises
    ------
    FormatError
        If there is no point.
    """
    listed = [(row, animal) for row, sheet in enumerate(sheets) for animal in sheet.animals]
    keypoints = list(dict.fromkeys(k for _, animal in listed for k in animal.points))
    if not keypoints:
        why = next(filter(None, left_out), "boxes and outlines are not read")
        raise FormatError(f"{path}: no keypoints are marked in it; {why}")
    skeleton = skeleton or Skeleton(keypoints)
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    names = [sheet.name for sheet in sheets]
    videos = name_videos(names, find_own_name(folder)) if videos is None else videos
    place = np.array([row for row, _ in listed], np.int64)
    columns, individuals, identified = assign_columns(place, [a.track for _, a in listed], videos)
    values = np.full((len(listed), len(skeleton.keypoints), 3), np.nan)
    for n, (_, animal) in enumerate(listed):
        for keypoint, xy in animal.points.items():
            values[n, skeleton.index(keypoint)] = (*xy, keypoint in animal.hidden)
    laid = fill_array(values, place, columns, (len(sheets), len(individuals)))
    sizes = [sheet.size for sheet in sheets]
    found, told = hold_sizes(list(images), sizes)
    sources, others = hold_videos(find_sources(videos, folder), videos, found, sizes)
    return Labels(
        laid[..., :2],
        skeleton,
        tuple(videos),
        find_frame_numbers(names, videos) if numbers is None else numbers,
        tuple(found),
        tuple(individuals),
        identified,
        sources,
        (*(sentence for sentence in left_out if sentence), *told, *others),
        np.where(laid[..., 2] == 1, OCCLUDED, VISIBLE),
    )
