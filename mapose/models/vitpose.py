"""Keypoints of one animal in a box, by ViTPose of the library transformers.

Crops, their normalisation and the decoding of heatmaps are those of ViTPose's own evaluation: the
box with a quarter more around it, brought to the network's shape, centres of its outermost pixels
on the box's border (unbiased data processing), and peaks refined by a Taylor step on the logarithm
of the blurred heatmap (distribution-aware decoding).

References
----------
Xu et al. 2022 (ViTPose, ViTPose++), Huang et al. 2020 (unbiased data processing), Zhang et al. 2020
(distribution-aware coordinate representation).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from mapose.arrays import Floats, Image, Singles
from mapose.errors import FormatError, SettingsError
from mapose.models.hub import fetch_model

_MEAN, _SPREAD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
#: How much more than the box is shown, each way.
_MORE = 1.25
# Blur before the Taylor step; values between which the logarithm is taken.
_KERNEL, _SIGMA, _LEAST, _MOST = 11, 0.8, 0.001, 50.0
#: Spread of the heatmaps that it was trained on, cells; of a peak that has no clear shape.
_SPREAD_CELLS = 2.0
# What the parts of the head are called in the original checkpoints.
_ORIGINAL = {
    "deconv1": "deconv_layers.0",
    "batchnorm1": "deconv_layers.1",
    "deconv2": "deconv_layers.3",
    "batchnorm2": "deconv_layers.4",
    "conv.": "final_layer.",
}


class VitPose:
    """ViTPose or ViTPose++ with the keypoints of one expert.

    Parameters
    ----------
    name : str
        On the hub, or a local folder in the hub's format.
    keypoints : sequence of str
        That its heatmaps are of, in order.
    expert : int
        Which expert of a mixture is asked; of ViTPose++ 0 COCO, 1 AI Challenger, 2 MPII,
        3 AP-10K, 4 APT-36K, 5 COCO-WholeBody.
    head : Path, optional
        The original checkpoint (``vitpose+_base.pth``): the hub's has but the head for people, the
        one that goes with another expert is taken from here.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    SettingsError
        If the weights cannot be had, or are of other keypoints.
    FormatError
        If the checkpoint has no such head.
    """

    def __init__(
        self,
        name: str,
        *,
        keypoints: Sequence[str],
        expert: int = 0,
        head: Path | None = None,
    ) -> None:
        self.network: nn.Module = fetch_model("VitPoseForPoseEstimation", name)
        config: Any = self.network.config
        if head is not None:
            load_head(self.network, head, expert)
            config.id2label = dict(enumerate(keypoints))
            config.label2id = {name: i for i, name in enumerate(keypoints)}
        labels = [str(config.id2label[i]) for i in sorted(config.id2label)]
        _check_labels(name, labels, keypoints)
        backbone = config.backbone_config
        if backbone.num_experts > 1 and not 0 <= expert < backbone.num_experts:
            raise SettingsError(f"{name}: has {backbone.num_experts} experts, asked was {expert}")
        self.expert = expert if backbone.num_experts > 1 else None
        high, wide = backbone.image_size
        self.size = (int(wide), int(high))

    @torch.inference_mode()
    def find(self, image: Image, boxes: Floats) -> tuple[Singles, Singles]:
        """Find the keypoints of animals.

        Parameters
        ----------
        image : uint8, (H, W, 3)
            RGB.
        boxes : float64, (N, 4 or more)
            Left, top, width, height, px.

        Returns
        -------
        found : float32, (N, K, 3)
            x, y in px and confidence, the height of the peak, 0 to 1.
        covariance : float32, (N, K, 2, 2)
            Shape of the peaks, px²; not calibrated.
        """
        device = next(self.network.parameters()).device
        frames = np.array([frame_box(box, self.size) for box in boxes])
        crops = np.stack([self.crop(image, frame) for frame in frames])
        asked = {}
        if self.expert is not None:
            asked["dataset_index"] = torch.full((len(crops),), self.expert, device=device)
        pixels = torch.from_numpy(crops).to(device)
        heatmaps = self.network(pixel_values=pixels, **asked).heatmaps.float().cpu().numpy()
        return place_peaks(*decode_heatmaps(heatmaps), frames=frames, shape=heatmaps.shape[2:])

    def crop(self, image: Image, frame: Floats) -> Singles:
        """Show the network a part of the image, float32 (3, h, w)."""
        left, top, width, height = frame
        x, y = (self.size[0] - 1) / width, (self.size[1] - 1) / height
        matrix = np.array([[x, 0, -left * x], [0, y, -top * y]])
        part = cv2.warpAffine(image, matrix, self.size, flags=cv2.INTER_LINEAR)
        values = (part / 255 - _MEAN) / _SPREAD
        return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)


def load_head(network: nn.Module, path: Path, expert: int) -> None:
    """Give ViTPose++ of the hub the head of another expert, from the original checkpoint.

    Parameters
    ----------
    network : nn.Module
        With the classic head.
    path : Path
        Checkpoint of all experts, with ``associate_keypoint_heads``; not unpickled but for its
        tensors.
    expert : int
        0 is the one that goes with ``keypoint_head``.

    Raises
    ------
    FormatError
        If it has no such head, or one of another shape.
    """
    if not path.is_file():
        raise FormatError(f"{path}: there is no such checkpoint")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        state = loaded.get("state_dict", loaded)
    except Exception as fault:  # what torch raises for other files has no common kind
        raise FormatError(
            f"{path} is no checkpoint, or holds more than tensors: {fault}"
        ) from fault
    prefix = f"associate_keypoint_heads.{expert - 1}." if expert else "keypoint_head."
    head: Any = network.head
    wanted = head.state_dict()
    try:
        found = {name: state[prefix + _name_originally(name)] for name in wanted}
        for name in ("conv.weight", "conv.bias"):  # filled up to one size for all heads
            found[name] = found[name][: len(wanted[name])]
        head.load_state_dict(found)
    except (KeyError, RuntimeError) as fault:
        raise FormatError(f"{path}: no head of expert {expert} that fits ({fault})") from fault


def _name_originally(name: str) -> str:
    """Name a tensor of the head as the original checkpoint does.

    Examples
    --------
    >>> _name_originally("batchnorm2.weight"), _name_originally("conv.bias")
    ('deconv_layers.4.weight', 'final_layer.bias')
    """
    for ours, theirs in _ORIGINAL.items():
        name = name.replace(ours, theirs)
    return name


def frame_box(box: Floats, size: tuple[int, int]) -> Floats:
    """Find what is shown of a box: of the network's shape, with more around it.

    Parameters
    ----------
    box : float64, (4 or more,)
        Left, top, width, height, px.
    size : (int, int)
        Width and height that the network is shown.

    Returns
    -------
    float64, (4,)
        Left, top, width, height, px.

    Examples
    --------
    >>> frame_box(np.array([10.0, 10, 20, 20]), (192, 256)).round(2).tolist()
    [7.5, 3.33, 25.0, 33.33]
    """
    aspect = size[0] / size[1]
    centre = box[:2] + box[2:4] / 2
    width = max(box[2], box[3] * aspect) * _MORE
    extent = np.array([width, width / aspect])
    return np.concatenate([centre - extent / 2, extent])


def decode_heatmaps(heatmaps: Singles) -> tuple[Floats, Singles, Floats]:
    """Find the peak of each heatmap between its cells.

    Parameters
    ----------
    heatmaps : float32, (N, K, H, W)
        About a Gaussian around each keypoint.

    Returns
    -------
    cells : float64, (N, K, 2)
        x and y; cell centres at whole numbers.
    score : float32, (N, K)
        Height of the peak, 0 to 1.
    covariance : float64, (N, K, 2, 2)
        Of the Gaussian that fits the peak, cells².
    """
    n, k, high, wide = heatmaps.shape
    flat = heatmaps.reshape(n * k, high, wide)
    best = flat.reshape(n * k, -1).argmax(1)
    y, x = np.divmod(best, wide)
    score = flat[np.arange(n * k), y, x].clip(0, 1)
    shape = (_KERNEL, _KERNEL)
    blurred = [
        cv2.GaussianBlur(m, shape, _SIGMA, borderType=cv2.BORDER_REFLECT).clip(_LEAST, _MOST)
        for m in flat
    ]
    around = np.pad(np.log(np.stack(blurred)), ((0, 0), (1, 1), (1, 1)), mode="edge")

    def look(dx: int, dy: int) -> Floats:
        found: Floats = around[np.arange(n * k), y + 1 + dy, x + 1 + dx].astype(np.float64)
        return found

    here = look(0, 0)
    slope = np.stack([look(1, 0) - look(-1, 0), look(0, 1) - look(0, -1)], -1) / 2
    bend = np.empty((n * k, 2, 2))
    bend[:, 0, 0] = look(1, 0) - 2 * here + look(-1, 0)
    bend[:, 1, 1] = look(0, 1) - 2 * here + look(0, -1)
    cross = look(1, 1) - look(1, 0) - look(0, 1) + 2 * here
    cross += look(-1, -1) - look(-1, 0) - look(0, -1)
    bend[:, 0, 1] = bend[:, 1, 0] = cross / 2
    # A peak without the shape of one stays in its cell.
    clear = (np.linalg.eigvalsh(bend)[:, 1] < -1e-3) & (score > 0)
    bend[~clear] = -np.eye(2) / _SPREAD_CELLS**2
    covariance = -np.linalg.inv(bend)
    step = np.where(clear[:, None], np.einsum("nij,nj->ni", covariance, slope), 0)
    cells = np.stack([x, y], -1) + step
    return cells.reshape(n, k, 2), score.reshape(n, k), covariance.reshape(n, k, 2, 2)


def place_peaks(
    cells: Floats, score: Singles, covariance: Floats, *, frames: Floats, shape: tuple[int, ...]
) -> tuple[Singles, Singles]:
    """Bring peaks of heatmaps (H, W) to the image, whose parts they are of; see `VitPose.find`."""
    pitch = frames[:, None, 2:] / np.array([shape[1] - 1, shape[0] - 1])
    xy = cells * pitch + frames[:, None, :2]
    found = np.concatenate([xy, score[..., None]], -1).astype(np.float32)
    spread = covariance * pitch[..., None] * pitch[..., None, :]
    return found, spread.astype(np.float32)


def _check_labels(name: str, labels: list[str], keypoints: Sequence[str]) -> None:
    """Make sure that heatmaps are of the keypoints wanted, where the description tells."""
    if len(labels) != len(keypoints):
        raise SettingsError(
            f"{name}: finds {len(labels)} keypoints, wanted are {len(keypoints)}: it is of another "
            "body"
        )
    if all(label.startswith("LABEL_") for label in labels):
        return
    for label, keypoint in zip(labels, keypoints, strict=True):
        if _spell(label) != _spell(keypoint):
            raise SettingsError(
                f"{name}: its head finds {', '.join(labels)}, wanted are {', '.join(keypoints)}; "
                "what the hub has of ViTPose++ is the head for people: get vitpose+_base.pth from "
                "its authors, and run 'mapose zoo add zoo:quadrupeds --head vitpose+_base.pth'"
            )


def _spell(name: str) -> str:
    """Spell a keypoint so that ``L_Eye`` and ``left_eye`` are the same."""
    words = name.lower().replace("_", " ").split()
    short = {"l": "left", "r": "right", "f": "front", "b": "back"}
    return " ".join(short.get(word, word) for word in words)
