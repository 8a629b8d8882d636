"""A trained model: a folder with ``weights.safetensors`` and ``model.yaml``, never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from mapose.anatomy import Anatomy
from mapose.arrays import Floats
from mapose.confidence import Confidence
from mapose.errors import FormatError
from mapose.files import write_atomically, write_yaml
from mapose.models.network import PoseNetwork, build_network
from mapose.models.refiner import Refiner
from mapose.reading import explain_damage, load_yaml
from mapose.skeleton import Pair, Skeleton

WEIGHTS, DESCRIPTION = "weights.safetensors", "model.yaml"
#: Weights of the second stage, where there is one.
REFINER = "refiner.safetensors"
#: The first is written where it is enough, so that an older mapose opens what it can use whole.
_SCHEMA, _TWO_STAGES, _LOOKS, _WEIGHED = 1, 2, 3, 4
#: Numbers up to which those in the description of an encoder are believed, whatever its weights:
#: layers and sides of images.
_LARGEST = 4096


@dataclass(frozen=True)
class Identity:
    """Marked animals that a network tells apart.

    Parameters
    ----------
    names : tuple of str, (N,)
        In the order of the network's maps.
    scale : float
        By which logits are multiplied to make what they say true on frames not trained on.
    accuracy : float
        Share of keypoints on such frames whose owner was the likeliest one; NaN = not measured.
    """

    names: tuple[str, ...]
    scale: float = 1.0
    accuracy: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for YAML."""
        accuracy = None if self.accuracy != self.accuracy else round(self.accuracy, 4)
        return {"names": list(self.names), "scale": round(self.scale, 4), "accuracy": accuracy}


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A network and all that is needed to use it on a video.

    Parameters
    ----------
    network : PoseNetwork
        On the CPU, in training form (batch norms not folded).
    architecture : dict
        Arguments of `build_network`.
    skeleton : Skeleton
        Keypoints and limbs as the lab named them.
    links : sequence of pairs of str
        Edges with an affinity field, in channel order; they may differ from the skeleton's.
    factor : float
    channels : int
        How images are prepared, see `mapose.data.prepare_image`.
    individuals : int or None
        Animals per frame, where known.
    reach : float64, (K, K)
        Largest distance of two keypoints of one animal, image pixels; NaN = unknown.
    variance : float64, (K,)
        Factor that turns the spread of a peak into a covariance.
    split : dict
        ``train`` and ``test``: lists of ``video:frame``.
    record : dict
        Settings, metrics and provenance, for people.
    anatomy : Anatomy or None
        Where the keypoints lie on an animal; None if there were too few labels to learn it, and
        in models of before it was learned.
    refiner : Refiner or None
        Second stage, where there is one.
    confidence : Confidence or None
        What scores and covariances are worth; None in models of before it was found.
    name : str
        Of its folder, for messages; empty where it has none yet.
    identity : Identity or None
        The animals that it knows by name.
    looks : int
        How often it looks at each image: whole, at half the size, at a quarter, ...; once but
        where animals are of very different sizes.
    """

    network: PoseNetwork
    architecture: dict[str, Any]
    skeleton: Skeleton
    links: tuple[Pair, ...]
    factor: float
    channels: int
    individuals: int | None
    reach: Floats
    variance: Floats
    split: dict[str, list[str]] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    anatomy: Anatomy | None = None
    refiner: Refiner | None = None
    confidence: Confidence | None = None
    name: str = ""
    identity: Identity | None = None
    looks: int = 1

    @property
    def pitch(self) -> float:
        """Image pixels per map cell."""
        return float(self.factor * self.network.stride)

    @property
    def body(self) -> Skeleton:
        """The keypoints with `links` for edges: what assembly works on."""
        return replace(self.skeleton, edges=self.links)

    @property
    def hash(self) -> str:
        """Fingerprint of all that decides what it finds, 16 hexadecimal digits."""
        text = json.dumps(self.describe(), sort_keys=True)
        digest = hashlib.sha256(text.encode())
        networks = [self.network, *([self.refiner.network] if self.refiner else [])]
        for name, value in (item for n in networks for item in sorted(n.state_dict().items())):
            digest.update(name.encode())
            digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def __str__(self) -> str:
        weights = sum(p.numel() for p in self.network.parameters()) / 1e6
        test = self.record.get("metrics", {}).get("test")
        error = f", {test['mean']:.2f} px on test frames" if test else ""
        count = self.individuals or "any number of"
        stages = ", two stages" if self.refiner else ""
        return (
            f"Model: {len(self.skeleton.keypoints)} keypoints, {count} individuals, "
            f"{weights:.1f} million weights{stages}{error}"
        )

    def __repr__(self) -> str:
        return f"<{self}>"

    def with_links(self, keep: list[int]) -> Model:
        """Make a model that predicts only some of the affinity fields.

        Parameters
        ----------
        keep : list of int
            Rows of `links` to keep.
        """
        k = self.network.keypoints
        rows = list(range(3 * k)) + [3 * k + 2 * e + i for e in keep for i in (0, 1)]
        state = dict(self.network.state_dict())
        for name in ("heads.weight", "heads.bias"):
            state[name] = self.network.part_by_map(state[name])[rows].flatten(0, 1)
        architecture = {**self.architecture, "edges": len(keep)}
        network = restore_network(architecture, state)
        links = tuple(self.links[e] for e in keep)
        return replace(self, network=network, architecture=architecture, links=links)

    def save(self, folder: str | Path) -> None:
        """Write the model folder; each file is written beside its name and renamed."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.network.state_dict(), folder / WEIGHTS)
        if self.refiner is not None:
            save_tensors(self.refiner.network.state_dict(), folder / REFINER)
        description = {
            "schema": self._find_schema(),
            **self.describe(),
            "split": self.split,
            "record": self.record,
        }
        write_yaml(description, folder / DESCRIPTION)

    def _find_schema(self) -> int:
        if self.refiner is not None and self.refiner.weighed:
            return _WEIGHED
        return _LOOKS if self.looks > 1 else _TWO_STAGES if self.refiner else _SCHEMA

    def describe(self) -> dict[str, Any]:
        """Describe all but the weights that decides what is found, as it is written down."""
        second = self.refiner and {
            "network": self.refiner.architecture,
            "image": {"factor": self.refiner.factor, "side": self.refiner.side},
            "variance": _to_lists(self.refiner.variance),
            **({"weighed": True} if self.refiner.weighed else {}),
            **({"threshold": self.refiner.threshold} if self.refiner.threshold else {}),
        }
        return {
            "network": self.architecture,
            "skeleton": self.skeleton.to_dict(),
            "links": [list(pair) for pair in self.links],
            # What few models have is not named in others: these keep their fingerprint.
            "image": {
                "factor": self.factor,
                "channels": self.channels,
                **({"looks": self.looks} if self.looks > 1 else {}),
            },
            "individuals": self.individuals,
            "reach": _to_lists(self.reach),
            "variance": _to_lists(self.variance),
            "anatomy": self.anatomy and _describe_anatomy(self.anatomy),
            **({"identity": self.identity.to_dict()} if self.identity else {}),
            **({"refiner": second} if second else {}),
            **({"confidence": _describe_confidence(self.confidence)} if self.confidence else {}),
        }

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Model:
        """Read a model folder.

        Raises
        ------
        FormatError
            If files are missing, damaged or from a newer version.
        """
        folder = Path(folder)
        for name in (DESCRIPTION, WEIGHTS):
            if not (folder / name).is_file():
                raise FormatError(f"{folder}: wanted a model folder with {name} in it")
        with explain_damage(folder / DESCRIPTION):
            raw = load_yaml(
                (folder / DESCRIPTION).read_text(encoding="utf-8"), folder / DESCRIPTION
            )
        try:
            if raw["schema"] > _WEIGHED:
                raise FormatError(f"{folder}: made by a newer mapose; update mapose to open it")
            network = _load_network(raw["network"], load_tensors(folder / WEIGHTS))
            return cls(
                network=network.eval(),
                architecture=raw["network"],
                skeleton=Skeleton(**raw["skeleton"]),
                links=tuple((a, b) for a, b in raw["links"]),
                factor=raw["image"]["factor"],
                channels=raw["image"]["channels"],
                individuals=raw["individuals"],
                reach=_to_array(raw["reach"]),
                variance=_to_array(raw["variance"]),
                anatomy=_read_anatomy(raw.get("anatomy")),
                refiner=_load_refiner(raw.get("refiner"), folder / REFINER),
                confidence=_read_confidence(raw.get("confidence")),
                split=raw["split"],
                record=raw["record"],
                name=folder.resolve().name,
                identity=_read_identity(raw.get("identity")),
                looks=int(raw["image"].get("looks", 1)),
            )
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{folder}: not a complete model ({error})") from error


def _load_network(architecture: dict[str, Any], weights: Mapping[str, Tensor]) -> PoseNetwork:
    """Build a network if its description can be that of the weights, before it takes memory."""
    widths = list(architecture["widths"])
    depths = list(architecture["depths"]) or [0] * len(widths)  # of an encoder that has its own
    sides = {side for tensor in weights.values() for side in tensor.shape}
    counts = [*widths, *depths, architecture["keypoints"], architecture["edges"]]
    if not all(isinstance(n, int) and 0 <= n <= max(len(weights), *sides, 0) for n in counts):
        raise ValueError("its network is not that of the weights")
    stages = zip(widths, depths, [1, *widths], strict=False)
    claimed = sum((1 + depth) * wide * max(wide, before) for wide, depth, before in stages)
    there = sum(tensor.numel() for tensor in weights.values())
    encoder = architecture.get("encoder")
    if isinstance(encoder, dict):
        if max(_list_numbers(encoder), default=0) > max(_LARGEST, *sides):
            raise ValueError("its encoder is not that of the weights")
        with torch.device("meta"):  # where tensors take no memory
            claimed = sum(p.numel() for p in build_network(**architecture).parameters())
    if claimed > there:
        raise ValueError("its network is larger than the weights")
    return restore_network(architecture, weights)


def restore_network(architecture: dict[str, Any], weights: Mapping[str, Tensor]) -> PoseNetwork:
    """Build a network with its weights; these tell what it knows besides keypoints and limbs.

    Raises
    ------
    RuntimeError
        If they are those of another network.
    """
    network = build_network(**architecture)
    if "marks.bias" in weights:
        network.add_marks(len(network.part_by_map(weights["marks.bias"])))
    if "centres.bias" in weights:
        network.add_centres()
    network.load_state_dict(dict(weights))
    return network


def _load_refiner(raw: dict[str, Any] | None, weights: Path) -> Refiner | None:
    if raw is None:
        return None
    if not weights.is_file():
        raise FormatError(f"{weights.parent}: wanted the second stage's weights, {weights.name}")
    network = _load_network(raw["network"], load_tensors(weights))
    side, variance = int(raw["image"]["side"]), _to_array(raw["variance"])
    if not 0 < side <= _LARGEST or side % network.multiple:
        raise ValueError(f"its crops cannot have {side} pixels")
    if variance.shape != (network.keypoints,):
        raise ValueError("its second stage is for other keypoints")
    threshold = float(raw.get("threshold", 0.0))
    if not 0 <= threshold <= 1:
        raise ValueError(f"its second stage cannot have the threshold {threshold:g}")
    return Refiner(
        network.eval(),
        raw["network"],
        raw["image"]["factor"],
        side,
        variance,
        weighed=bool(raw.get("weighed", False)),
        threshold=threshold,
    )


def _list_numbers(value: Any) -> list[float]:
    """List all numbers in nested lists and mappings."""
    if isinstance(value, (list, tuple, dict)):
        inside = value.values() if isinstance(value, dict) else value
        return [number for part in inside for number in _list_numbers(part)]
    return [value] if isinstance(value, (int, float)) else []


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write named tensors as safetensors, to a temporary name first."""
    with write_atomically(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors.

    Raises
    ------
    FormatError
        If the file is damaged.
    """
    try:
        with explain_damage(path):
            # Not mapped: a share that goes away meanwhile would bring the process down.
            return load(path.read_bytes())
    except SafetensorError as error:
        raise FormatError(f"{path}: damaged weights ({error}); copy the model again") from error


def find_device(name: str | None = None) -> torch.device:
    """Choose the device: the one named, else CUDA, Apple's GPU, or the CPU.

    Raises
    ------
    FormatError
        If the named device is not there.
    """
    if name:
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError) as error:
            why = "" if "Expected one of" in str(error) else f": {error}"  # torch lists its own 20
            raise FormatError(
                f"--device: wanted cpu, cuda or mps, whichever is here, came {name!r}{why}"
            ) from None
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def count_gpus() -> int:
    """Count the GPUs on which several processes can work, one on each."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _describe_anatomy(anatomy: Anatomy) -> dict[str, Any]:
    # What older models do not have is not named, so that they keep their fingerprint.
    joint = {} if anatomy.joint is None else {"joint": _to_lists(anatomy.joint)}
    own = {"mean": _to_lists(anatomy.mean), "covariance": _to_lists(anatomy.covariance)}
    return {**own, **joint}


def _read_anatomy(raw: dict[str, Any] | None) -> Anatomy | None:
    if not raw:
        return None
    joint = _to_array(raw["joint"]) if "joint" in raw else None
    return Anatomy(_to_array(raw["mean"]), _to_array(raw["covariance"]), joint)


def _describe_confidence(confidence: Confidence) -> dict[str, Any]:
    numbers = ("tolerance", "slope", "spread", "fall")
    plain = {name: round(float(getattr(confidence, name)), 4) for name in numbers}
    return {**plain, "offset": _to_lists(confidence.offset)}


def _read_confidence(raw: dict[str, Any] | None) -> Confidence | None:
    if not raw:
        return None
    numbers = {name: float(raw[name]) for name in ("tolerance", "slope", "spread", "fall")}
    return Confidence(**numbers, offset=_to_array(raw["offset"]))


def _read_identity(raw: dict[str, Any] | None) -> Identity | None:
    if not raw:
        return None
    accuracy = float("nan") if raw["accuracy"] is None else float(raw["accuracy"])
    return Identity(tuple(map(str, raw["names"])), float(raw["scale"]), accuracy)


def _to_lists(array: Floats) -> Any:
    rounded = np.round(array, 4)
    return (
        [_to_lists(row) for row in rounded]
        if array.ndim > 1
        else [None if not np.isfinite(v) else float(v) for v in rounded]
    )


def _to_array(value: Any) -> Floats:
    return np.array(value, dtype=np.float64)
