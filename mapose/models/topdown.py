"""A ready model in two steps: a detector finds the animals, a second network their keypoints.

Both are networks of the library transformers; the folder of such a model has a ``model.yaml`` of
``kind: top-down`` that says which, and may hold their weights in ``detector`` and ``pose``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Image, Singles
from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.models.checkpoint import DESCRIPTION, Model, find_device
from mapose.models.detector import Detector
from mapose.models.hub import save_model
from mapose.models.vitpose import VitPose
from mapose.reading import explain_damage, load_yaml
from mapose.skeleton import Skeleton

KIND = "top-down"
#: Animals in a frame at most, where their number is not known.
MOST = 20


class TopDown:
    """A detector and a network for the keypoints of what it finds.

    Parameters
    ----------
    description : dict
        ``skeleton``, and of ``detector`` and ``pose`` what their classes take; ``from`` is the
        name of their weights on the hub.
    folder : Path, optional
        In which their weights may lie; they go before those of the hub.
    head : Path, optional
        Checkpoint with another head for the keypoints, see `VitPose`.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    SettingsError
        If the weights cannot be had.

    Notes
    -----
    Confidences are the heights of peaks, and covariances their shapes: neither is calibrated.
    """

    channels = 3
    individuals: int | None = None

    def __init__(
        self,
        description: dict[str, Any],
        *,
        folder: Path | None = None,
        head: Path | None = None,
    ) -> None:
        self.description, self.name = description, folder.resolve().name if folder else ""
        self.skeleton = Skeleton(**description["skeleton"])
        self.split: dict[str, list[str]] = {}
        self.record: dict[str, Any] = {"settings": {}}
        detector, pose = dict(description["detector"]), dict(description["pose"])
        weights = _find_weights("detector", detector.pop("from"), folder)
        self.detector = Detector(weights, **detector)
        weights = _find_weights("pose", pose.pop("from"), folder)
        self.pose = VitPose(weights, keypoints=self.skeleton.keypoints, head=head, **pose)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, head: Path | None = None) -> TopDown:
        """Read the folder of a model of this kind; ``head`` as for the class.

        Raises
        ------
        FormatError
            If it is none, or its description is damaged.
        """
        folder = Path(folder)
        path = folder / DESCRIPTION
        try:
            return cls(_read(folder), folder=folder, head=head)
        except MaposeError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise FormatError(f"{path}: not a complete description ({error})") from error

    def save(self, folder: Path) -> None:
        """Write the weights of both networks into a folder, in the hub's format."""
        save_model(self.detector.network, folder / "detector")
        save_model(self.pose.network, folder / "pose")
        said = {"size": self.detector.prepare.size, "rescale_factor": self.detector.prepare.factor}
        said |= {
            "do_resize": self.detector.prepare.resize,
            "do_normalize": True,
            "image_mean": self.detector.prepare.mean.tolist(),
            "image_std": self.detector.prepare.spread.tolist(),
        }
        path = folder / "detector" / "preprocessor_config.json"
        path.write_text(json.dumps(said), encoding="utf-8")

    @property
    def hash(self) -> str:
        """Fingerprint of all that decides what it finds, 16 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps(self.description, sort_keys=True).encode())
        for network in (self.detector.network, self.pose.network):
            for name, value in sorted(network.state_dict().items()):
                digest.update(name.encode())
                digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def to(self, device: str | None) -> TopDown:
        """Move both networks to a device, the fastest by default."""
        for network in (self.detector.network, self.pose.network):
            network.to(find_device(device))
        return self

    def find(
        self, images: Sequence[Image], *, individuals: int | None = None
    ) -> list[tuple[Singles, Singles]]:
        """Find the animals in images.

        Parameters
        ----------
        images : sequence of uint8 (H, W, 3)
            RGB, all of one size.
        individuals : int, optional
            Animals at most.

        Returns
        -------
        list of (float32 (N, K, 3), float32 (N, K, 2, 2))
            Of each image x, y in px and confidence, 0 to 1, and covariance, px².
        """
        k = len(self.skeleton.keypoints)
        found = []
        boxes = self.detector.find(images, most=individuals or MOST)
        for image, animals in zip(images, boxes, strict=True):
            if len(animals):
                found.append(self.pose.find(image, animals))
            else:
                nothing = np.empty((0, k, 3), np.float32)
                found.append((nothing, np.empty((0, k, 2, 2), np.float32)))
        return found


def open_model(folder: str | os.PathLike[str]) -> Model | TopDown:
    """Open the folder of a model, of either kind.

    Raises
    ------
    FormatError
        If it is no model's, or damaged.
    SettingsError
        If weights of the hub cannot be had.
    """
    folder = Path(folder)
    if (folder / DESCRIPTION).is_file() and is_top_down(folder):
        return TopDown.load(folder)
    return Model.load(folder)


def is_top_down(folder: Path) -> bool:
    """Tell whether a model's folder is of a detector and a second network."""
    return bool(_read(folder).get("kind") == KIND)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    with explain_damage(path):
        raw = load_yaml(path.read_text(encoding="utf-8"), path)
    if not isinstance(raw, dict):
        raise FormatError(f"{path}: wanted the description of a model, found other YAML")
    return raw


def _find_weights(part: str, name: object, folder: Path | None) -> str:
    """Find the weights of a part: in the model's folder, else by their name on the hub."""
    if folder is not None and (folder / part / "config.json").is_file():
        return str(folder / part)
    if not isinstance(name, str):
        raise SettingsError(f"{part}: wanted the name of weights on the hub, came {name!r}")
    return name
