"""A learned appearance: the network and how crops are cut for it, kept in one file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from mapose.arrays import AnyFloats, Bools, Image, Ints, Singles
from mapose.errors import FormatError, ShapeError, VideoError
from mapose.files import write_atomically
from mapose.io import Video
from mapose.models import spare_cores
from mapose.poses import Poses
from mapose.reading import explain_damage, load_yaml
from mapose.recognition.contrast import vary_light
from mapose.recognition.crops import BodyTemplate, cut_crops, find_scale
from mapose.recognition.network import CROP, AppearanceNetwork, to_images
from mapose.recognition.stretches import find_near
from mapose.skeleton import Skeleton

Tensors = dict[str, torch.Tensor]
OnProgress = Callable[[int, int], None]

#: Looks are measured every so many frames.
EVERY = 5
#: Body units within which another animal's keypoint spoils a crop.
NEAR = 1.0

_SCHEMA = 1
logger = logging.getLogger(__name__)
_BATCH = 256


class Frames(Protocol):
    """Whatever gives images by frame number: a `Video`, a list of arrays."""

    def __getitem__(self, index: int, /) -> Image:
        """Give one image, uint8 (H, W) or (H, W, 3)."""


Source = str | os.PathLike[str] | Frames


@dataclass(frozen=True, eq=False)
class Appearance:
    """A network that tells animals apart by their looks, learned from one recording.

    Parameters
    ----------
    network : AppearanceNetwork
        On the CPU.
    template : BodyTemplate
        Mean pose that crops are aligned to.
    keypoints : tuple of str
        Names of the K keypoints, in the template's order.
    channels : int
        1 for grey videos, 3 for colour.
    record : dict
        Settings and provenance, for people.
    """

    network: AppearanceNetwork
    template: BodyTemplate
    keypoints: tuple[str, ...]
    channels: int
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self.network.project.out_features)

    @property
    def crop_shape(self) -> tuple[int, int, int]:
        """Shape of one crop: side, side, channels."""
        return CROP, CROP, self.channels

    @property
    def hash(self) -> str:
        """Fingerprint of the weights, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for _, value in sorted(self.network.state_dict().items()):
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def check_skeleton(self, skeleton: Skeleton) -> None:
        """Make sure that poses have the keypoints this was learned with.

        Raises
        ------
        ShapeError
            If they have others, or in another order.
        """
        if tuple(skeleton.keypoints) != self.keypoints:
            raise ShapeError(
                "appearance: it was learned with the keypoints "
                f"{', '.join(self.keypoints)}, came {', '.join(skeleton.keypoints)}: learn it "
                "again with these"
            )

    def cut(
        self, frame: Image, points: AnyFloats, *, scale: float | None = None
    ) -> tuple[Image, Bools]:
        """Cut crops as the network wants them; see `mapose.recognition.crops.cut_crops`.

        Parameters
        ----------
        frame : uint8, (H, W) or (H, W, 3)
            Image; grey and colour are turned into what the network was learned with.
        points : float, (I, K, 2)
            Poses in its pixels; NaN = missing.
        scale : float, optional
            Pixels per body unit, from `measure_scale`; by default each body's own.

        Returns
        -------
        crops : uint8, (I, S, S, C)
        found : bool, (I,)
        """
        image = match_channels(frame, self.channels)
        return cut_crops(image, points, template=self.template, size=CROP, scale=scale)

    def measure_scale(self, points: AnyFloats) -> float:
        """Find how many pixels a body unit usually has in a recording, NaN = no pose."""
        return find_scale(points, self.template)

    def embed(self, crops: Image, *, light: np.random.Generator | None = None) -> Singles:
        """Turn crops into unit vectors.

        Parameters
        ----------
        crops : uint8, (N, S, S, C)
            From `cut`.
        light : numpy.random.Generator, optional
            If given, the crops are put under one light drawn at random, as of another day.

        Returns
        -------
        float32, (N, D)

        Raises
        ------
        ShapeError
            If the crops have another size.
        """
        if crops.shape[1:] != self.crop_shape:
            raise ShapeError(
                f"embed: wanted crops (N, {CROP}, {CROP}, {self.channels}), came {crops.shape}"
            )
        device = next(self.network.parameters()).device
        found = [np.empty((0, self.dimensions), np.float32)]
        seed = None if light is None else int(light.integers(2**62))
        self.network.eval()
        with torch.inference_mode(), spare_cores():
            for start in range(0, len(crops), _BATCH):
                images = to_images(crops[start : start + _BATCH], device)
                if seed is not None:
                    images = vary_light(images, torch.Generator().manual_seed(seed), shared=True)
                found.append(self.network(images).cpu().numpy())
        return np.concatenate(found)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save to one safetensors file, whole or not at all."""
        tensors, description = self.pack()
        save_parts(path, tensors, {"kind": "appearance", **description})

    def pack(self) -> tuple[Tensors, dict[str, Any]]:
        """Give tensors and plain values from which `unpack` makes it again."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        for name in ("points", "weight", "edges"):
            tensors[f"template.{name}"] = torch.as_tensor(getattr(self.template, name))
        description = {
            "schema": _SCHEMA,
            "keypoints": list(self.keypoints),
            "channels": self.channels,
            "dimensions": self.dimensions,
            "record": self.record,
        }
        return tensors, description

    @classmethod
    def unpack(cls, tensors: Tensors, description: dict[str, Any]) -> Appearance:
        """Make an appearance of what `pack` gave."""
        sides = description["channels"], description["dimensions"]
        if sides[0] not in (1, 3) or sides[1] != len(tensors["network.project.weight"]):
            raise FormatError(f"channels and dimensions {sides} are not those of the weights")
        network = AppearanceNetwork(*sides)
        mark = "network."
        state = {k.removeprefix(mark): v for k, v in tensors.items() if k.startswith(mark)}
        network.load_state_dict(state)
        parts = {n: tensors[f"template.{n}"].numpy() for n in ("points", "weight", "edges")}
        return cls(
            network.eval(),
            BodyTemplate(**parts),
            tuple(description["keypoints"]),
            description["channels"],
            description["record"],
        )


@contextmanager
def open_frames(video: Source) -> Iterator[Frames]:
    """Open a video for the time of a block; what gives images already is used as it is."""
    if isinstance(video, str | os.PathLike):
        with Video(video) as source:
            yield source
    else:
        yield video


def cut_video(
    source: Frames,
    poses: Poses,
    appearance: Appearance,
    *,
    rows: Ints,
    report: OnProgress,
) -> tuple[Image, Ints, Ints]:
    """Cut the animals that are alone out of some frames of a video.

    Parameters
    ----------
    source : Frames
        The video.
    poses : Poses
        2D.
    appearance : Appearance
        How they are cut.
    rows : int64, (N,)
        Rows of the poses whose frames are read.
    report : function of (int, int)
        Called with the frames read and their number.

    Returns
    -------
    crops : uint8, (M, S, S, C)
    frame, individual : int64, (M,)
        Row and column of the poses that each crop shows.
    """
    points = poses.points[rows]
    scale = appearance.measure_scale(poses.points[:: max(1, len(poses) // 2000)])
    alone = ~find_near(points[:, :, appearance.template.firm], NEAR * scale)
    crops, frame, who = [], [], []
    for n, row in enumerate(rows.tolist()):
        report(n + 1, len(rows))
        if not alone[n].any():
            continue
        try:
            image = source[int(poses.frames[row])]
        except VideoError as fault:
            logger.warning("%s; its animals are left out", fault)
            continue
        picked = np.flatnonzero(alone[n])
        cut, found = appearance.cut(image, points[n, picked], scale=scale)
        crops.append(cut[found])
        frame.append(np.full(found.sum(), row))
        who.append(picked[found])
    if not crops:
        crops.append(np.empty((0, *appearance.crop_shape), np.uint8))
        frame, who = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    return np.concatenate(crops), np.concatenate(frame), np.concatenate(who)


def cut_some(
    video: Source,
    poses: Poses,
    appearance: Appearance,
    *,
    every: int,
    on_progress: OnProgress | None,
) -> tuple[Image, Ints, Ints]:
    """Cut the animals out of every so many frames, as `cut_video` gives them.

    Raises
    ------
    ShapeError
        If the poses are not 2D, or have other keypoints than the appearance.
    """
    check_poses(poses)
    appearance.check_skeleton(poses.skeleton)
    rows = np.arange(0, len(poses), every)
    report = on_progress or (lambda *_: None)
    with open_frames(video) as source:
        return cut_video(source, poses, appearance, rows=rows, report=report)


def check_poses(poses: Poses) -> None:
    """Refuse poses that are not of one video."""
    if poses.dimensions != 2:
        raise ShapeError("appearance: wanted 2D poses of one video, came 3D poses")


def find_embeddings(
    video: Source,
    poses: Poses,
    appearance: Appearance,
    *,
    every: int = EVERY,
    on_progress: OnProgress | None = None,
) -> Singles:
    """Measure what animals look like, for tracking and naming.

    Parameters
    ----------
    video, poses
        As for `mapose.recognition.learning.learn_appearance`; the rows may be unordered slots.
    appearance : Appearance
        From this recording or another one of the same animals.
    every : int
        Measure every so many frames. Looks do not change from frame to frame: a fifth of the
        frames says as much as all.
    on_progress : function of (int, int), optional
        Called with the frames read and their number.

    Returns
    -------
    float32, (F, I, D)
        Unit vectors; NaN where not measured: other frames, animals that touch another one or
        lack keypoints.

    Raises
    ------
    ShapeError
        If the poses have other keypoints than the appearance.
    """
    crops, frame, row = cut_some(video, poses, appearance, every=every, on_progress=on_progress)
    found = np.full((*poses.array.shape[:2], appearance.dimensions), np.nan, np.float32)
    found[frame, row] = appearance.embed(crops)
    return found


def load_appearance(path: str | os.PathLike[str]) -> Appearance:
    """Load what `Appearance.save` wrote.

    Raises
    ------
    FormatError
        If the file is missing, damaged, another kind of file, or from a newer mapose.
    """
    with explain_damage(path):
        return Appearance.unpack(*load_parts(path, "appearance"))


def save_parts(path: str | os.PathLike[str], tensors: Tensors, description: dict[str, Any]) -> None:
    """Write tensors, and plain values as YAML in the header, to one safetensors file."""
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
    with write_atomically(Path(path)) as temporary:
        save_file(
            {k: torch.as_tensor(v).cpu().contiguous() for k, v in tensors.items()},
            temporary,
            metadata={"mapose": text},
        )


def load_parts(path: str | os.PathLike[str], kind: str) -> tuple[Tensors, dict[str, Any]]:
    """Read what `save_parts` wrote.

    Raises
    ------
    FormatError
        If the file is missing, damaged, of another kind, or from a newer mapose.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"no file {path.name} in {path.parent.resolve()}")
    try:
        with explain_damage(path):
            raw = path.read_bytes()  # not mapped, as in `mapose.models.checkpoint.load_tensors`
            tensors = load(raw)
            head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
            description = load_yaml(head.get("__metadata__", {}).get("mapose", "{}"), path)
    except SafetensorError as fault:
        raise FormatError(
            f"{path}: not a file of mapose, or damaged; wanted a saved {kind}"
        ) from fault
    if not isinstance(description, dict) or description.get("kind") != kind:
        raise FormatError(f"{path}: wanted a saved {kind}, this is something else")
    if not isinstance(description.get("schema"), int) or description["schema"] > _SCHEMA:
        raise FormatError(f"{path}: made by a newer mapose; update mapose to open it")
    return tensors, description


def match_channels(frame: Image, channels: int) -> Image:
    """Make a frame (H, W) or (H, W, C) have the wanted number of channels."""
    image = frame[..., None] if frame.ndim == 2 else frame
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image[..., :1], 3, axis=2)
    grey = image[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.round(grey)[..., None].astype(np.uint8)
