"""Boxes around animals, by a detector of the library transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image as Pictures
from torch import Tensor, nn

from mapose.arrays import Bools, Floats, Image, Ints
from mapose.errors import SettingsError
from mapose.models.hub import fetch_file, fetch_model
from mapose.reading import load_json

#: Detectors whose scores compete, the last of them for nothing at all; of others each stands alone.
_COMPETING = ("detr", "table-transformer", "yolos")
#: Overlap from which two boxes, whatever their kinds, are around one animal.
_OVERLAP = 0.7
#: Longest side of the pictures that a detector is shown.
_LARGEST = 8192
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Detector:
    """A detector of the hub that finds the animals of some kinds.

    Parameters
    ----------
    name : str
        On the hub, or a local folder in the hub's format.
    kinds : sequence of str
        Names of the detector's classes to look for, those that it has; all for none.
    threshold : float
        Lowest score of a box, 0 to 1.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    SettingsError
        If the weights cannot be had, or the detector knows none of the kinds.
    """

    def __init__(self, name: str, *, kinds: Sequence[str] = (), threshold: float = 0.4) -> None:
        self.network: nn.Module = fetch_model("AutoModelForObjectDetection", name)
        config: Any = self.network.config
        known = {str(label).lower(): int(i) for i, label in config.id2label.items()}
        self.classes = sorted(known[k.lower()] for k in kinds if k.lower() in known)
        if kinds and not self.classes:
            raise SettingsError(
                f"{name}: the detector finds {', '.join(sorted(known)[:20])}; none of "
                f"{', '.join(kinds)}"
            )
        self.competing = config.model_type in _COMPETING
        self.threshold = threshold
        path = fetch_file(name, "preprocessor_config.json")
        self.prepare = _Preparation(load_json(path) if path else {})

    @torch.inference_mode()
    def find(self, images: Sequence[Image], *, most: int = 20) -> list[Floats]:
        """Find the animals in images.

        Parameters
        ----------
        images : sequence of uint8 (H, W, 3)
            RGB, all of one size.
        most : int
            Animals at most.

        Returns
        -------
        list of float64, (N, 5)
            Left, top, width, height in px from the image's corner, and score; best first.
        """
        device = next(self.network.parameters()).device
        pixels = torch.stack([self.prepare(image) for image in images]).to(device)
        found = self.network(pixel_values=pixels)
        high, wide = images[0].shape[:2]
        scale = np.array([wide, high, wide, high], np.float64)
        return [
            self._choose(scores, boxes.double().cpu().numpy() * scale, most)
            for scores, boxes in zip(found.logits, found.pred_boxes, strict=True)
        ]

    def _choose(self, logits: Tensor, boxes: Floats, most: int) -> Floats:
        """Choose the boxes (centre and size) of the kinds wanted, one for each animal."""
        odds = logits.softmax(-1)[:, :-1] if self.competing else logits.sigmoid()
        odds = odds[:, self.classes] if self.classes else odds
        best = odds.max(-1).values.double().cpu().numpy()
        corner = boxes[:, :2] - boxes[:, 2:] / 2
        found = np.column_stack([corner, boxes[:, 2:], best])
        found = found[(best >= self.threshold) & (boxes[:, 2:] > 1).all(1)]
        found = found[np.argsort(-found[:, 4], kind="stable")]
        return found[choose_boxes(found)[:most]]


def choose_boxes(boxes: Floats, overlap: float = _OVERLAP) -> Ints:
    """Choose boxes of which none overlaps a better one.

    Parameters
    ----------
    boxes : float64, (N, 4 or more)
        Left, top, width and height, the best first.
    overlap : float
        Intersection over union from which two boxes are of one animal.

    Returns
    -------
    int64, (M,)
        Rows to keep.

    Examples
    --------
    >>> choose_boxes(np.array([[0.0, 0, 10, 10], [1, 0, 10, 10], [30, 0, 10, 10]])).tolist()
    [0, 2]
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    both = shared.clip(0).prod(-1)
    area = boxes[:, 2:4].prod(-1)
    ratio = both / np.maximum(area[:, None] + area - both, 1e-9)
    kept: Bools = np.ones(len(boxes), bool)
    for row in range(len(boxes)):
        if kept[row]:
            kept[row + 1 :] &= ratio[row, row + 1 :] < overlap
    return np.flatnonzero(kept)


class _Preparation:
    """What a detector's ``preprocessor_config.json`` says of how images are prepared."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.size = said.get("size", {"height": 640, "width": 640})
        self.resize = said.get("do_resize", True)
        factor = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
        self.factor = float(factor)
        self.mean, self.spread = np.zeros(3), np.ones(3)
        if said.get("do_normalize", False):
            self.mean = np.array(said.get("image_mean") or _MEAN, np.float64).reshape(3)
            self.spread = np.array(said.get("image_std") or _SPREAD, np.float64).reshape(3)
        if not all(0 < side <= _LARGEST for side in self.find_size(640, 480)):
            raise ValueError("a detector is to be shown pictures of no size, or of a huge one")

    def __call__(self, image: Image) -> Tensor:
        """Prepare an image, uint8 (H, W, 3): float32 (3, h, w)."""
        if self.resize:
            wanted = self.find_size(image.shape[1], image.shape[0])
            picture = Pictures.fromarray(image).resize(wanted, Pictures.Resampling.BILINEAR)
            image = np.asarray(picture)
        values = (image * self.factor - self.mean) / self.spread
        return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)

    def find_size(self, wide: int, high: int) -> tuple[int, int]:
        """Find the width and height that the network is shown."""
        if "height" in self.size:
            return int(self.size["width"]), int(self.size["height"])
        short, long = min(wide, high), max(wide, high)
        side = self.size.get("shortest_edge", 800)
        most = self.size.get("longest_edge")
        scale = side / short if not most else min(side / short, most / long)
        return round(wide * scale), round(high * scale)
