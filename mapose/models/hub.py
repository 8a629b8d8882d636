"""Encoders of other people's, through the library transformers: from its hub or a local folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapose.errors import FormatError, MissingExtraError, SettingsError
from mapose.reading import load_json

#: How an encoder of the hub is told from our own ones in the settings.
PREFIX = "hub:"
# Mean and spread, 0 to 1, of the pictures that most of them were trained on (ImageNet).
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What a description says of the classifier that is left out, and of where it was made.
_UNUSED = ("id2label", "label2id", "architectures", "transformers_version", "dtype", "torch_dtype")
# What says in a description how many layers there are, and the most of them and of all else.
_OF_LAYERS = re.compile("depth|layer|block|stage|expert")
_MOST_LAYERS, _MOST = 1000, 1 << 20
# What `normalise` takes from grey levels, and divides them by.
_GREY, _LEVELS = 128.0, 64.0


class HubEncoder(nn.Module):
    """A backbone of transformers, by its hidden states.

    Of a convolutional one the last features at each stride are taken. A vision transformer has
    but one stride: its last features are brought to stride 16, and drawn larger for 8 and 4.

    Parameters
    ----------
    config : dict
        Of the backbone, as transformers writes it, with ``model_type``. Two keys are ours:
        ``image_mean`` and ``image_std``, 0 to 1, three numbers each.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    SettingsError
        If transformers does not know the kind, or its features fit no stride.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.model = _build_model(config)
        colours = [config.get("image_mean") or _MEAN, config.get("image_std") or _SPREAD]
        mean, spread = torch.tensor(colours).reshape(2, 1, 3, 1, 1)
        # (grey levels / 255 - mean) / spread, of what `normalise` has made of the grey levels.
        self.register_buffer("factor", _LEVELS / 255 / spread, persistent=False)
        self.register_buffer("shift", (_GREY / 255 - mean) / spread, persistent=False)
        patch = config.get("patch_size")
        states = self._find_states(torch.zeros(1, 3, 128, 128))
        self.patch = int(patch) if states[-1].ndim == 3 and isinstance(patch, int) else None
        found = self(torch.zeros(1, 3, 128, 128))
        self.strides = tuple(128 // f.shape[-1] for f in found)
        self.widths = tuple(f.shape[1] for f in found)
        if not found or 4 not in self.strides:
            kind = config.get("model_type")
            raise SettingsError(f"network.encoder: {kind} gives no features at stride 4")
        self._leave_out_unused()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images, float (B, 1 or 3, H, W) as `normalise` makes them, into features."""
        x = x.expand(-1, 3, -1, -1) * self.factor + self.shift
        high, wide = x.shape[2:]
        if self.patch is not None:
            rows, columns = high // 16, wide // 16
            x = functional.interpolate(
                x, (rows * self.patch, columns * self.patch), mode="bilinear", antialias=True
            )
            tokens = self._find_states(x)[-1][:, -rows * columns :]  # others come first
            grid = tokens.transpose(1, 2).reshape(len(x), -1, rows, columns)
            larger = [
                functional.interpolate(grid, scale_factor=float(s), mode="bilinear") for s in (4, 2)
            ]
            return [*larger, grid]
        by_stride: dict[int, Tensor] = {}
        for state in self._find_states(x):
            if state.ndim == 4 and high // state.shape[2] > 1:
                by_stride[high // state.shape[2]] = state
        return [by_stride[stride] for stride in sorted(by_stride)]

    def train(self, mode: bool = True) -> HubEncoder:
        """Train weights but not the statistics of norms, for which a few frames are too few."""
        super().train(mode)
        self.model.eval()
        return self

    def freeze(self, strides: int) -> None:
        """Leave all weights as they are when the rest is trained, if all strides are meant.

        Which layers belong to a stride differs from one backbone to the next: fewer leave none.
        """
        if strides >= len(self.strides):
            self.requires_grad_(False)

    def load_pretrained(self, name: str) -> None:
        """Take the weights of a backbone from the hub, its cache, or a local folder.

        Raises
        ------
        SettingsError
            If they cannot be had, or are those of another backbone.
        """
        door: Any = type(self.model)
        try:
            with _keep_quiet():
                loaded = door.from_pretrained(name, use_safetensors=True)
            self.model.load_state_dict(loaded.state_dict())
        except (OSError, ValueError, RuntimeError) as error:
            raise _tell_missing(name, error) from error

    def _find_states(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model(x, output_hidden_states=True).hidden_states)

    def _leave_out_unused(self) -> None:
        """Train no weight that the features do not depend on: a classifier's, a mask's."""
        total = torch.stack([f.sum() for f in self(torch.zeros(1, 3, 128, 128))]).sum()
        weights = list(self.model.parameters())
        found = torch.autograd.grad(total, weights, allow_unused=True)
        for weight, gradient in zip(weights, found, strict=True):
            weight.requires_grad_(gradient is not None)


def read_config(name: str) -> dict[str, Any]:
    """Read the description of a backbone.

    Parameters
    ----------
    name : str
        Name on the hub (``microsoft/resnet-50``), or a local folder in the hub's format.

    Returns
    -------
    dict
        For `HubEncoder`.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    SettingsError
        If there is neither such a folder nor a way to the hub.
    """
    transformers = _import_transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(name).to_dict()
        processor = transformers.utils.cached_file(
            name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False
        )
    except (OSError, ValueError) as error:
        raise _tell_missing(name, error) from error
    if processor is not None:
        said = load_json(Path(processor))
        for key in ("image_mean", "image_std"):
            value = said.get(key)
            if isinstance(value, list) and len(value) == 3:
                config[key] = [float(v) for v in value]
    kept = {key: v for key, v in config.items() if not key.startswith("_") and key not in _UNUSED}
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return plain


def fetch_model(kind: str, name: str) -> nn.Module:
    """Open a model with its weights: a local folder, else from the hub or its cache.

    Parameters
    ----------
    kind : str
        Its class in transformers.
    name : str
        On the hub, or a folder in the hub's format.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    SettingsError
        If it cannot be had.
    """
    transformers = _import_transformers()
    try:
        if described := fetch_file(name, "config.json"):
            _check_counts(load_json(described), described)
        with _keep_quiet():
            model: nn.Module = getattr(transformers, kind).from_pretrained(
                name, use_safetensors=True
            )
    except ImportError as error:
        raise MissingExtraError(f"{name}: {str(error).strip().splitlines()[0]}") from error
    except FormatError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"the weights of {name!r} cannot be had ({tell_reason(error)}): they come from the "
            "hub; get the model where there is network, and 'mapose zoo add -o' packs it for others"
        ) from error
    except Exception as error:  # what transformers raises for a damaged description is its own
        raise FormatError(f"{name} holds no such model ({tell_reason(error)})") from error
    return model.eval()


def _check_counts(value: Any, path: Path, name: str = "") -> None:
    """Refuse a description that asks for more than any network has, before it takes hours.

    Raises
    ------
    FormatError
        If there is such a number.
    """
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in _UNUSED:  # among them names of classes, of which one may be a block
                _check_counts(part, path, str(key))
    elif isinstance(value, list):
        for part in value:
            _check_counts(part, path, name)
    elif isinstance(value, int | float):
        most = _MOST_LAYERS if _OF_LAYERS.search(name) else _MOST
        if value > most:
            raise FormatError(f"{path}: {name} may be {most} at most, came {value:g}")


def save_model(model: nn.Module, folder: Path) -> None:
    """Write a model with its weights, one file of them, into a folder in the hub's format."""
    save: Any = model.save_pretrained
    with _keep_quiet():
        save(folder, max_shard_size="100GB")


@contextmanager
def _keep_quiet() -> Iterator[None]:
    """Keep transformers from drawing bars of its own, as progress is shown elsewhere."""
    bars = _import_transformers().utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def fetch_file(name: str, file: str) -> Path | None:
    """Find a file beside the weights of a model; None where there is none."""
    transformers = _import_transformers()
    path = transformers.utils.cached_file(
        name,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return Path(path) if path else None


def tell_reason(error: Exception) -> str:
    """Say in few words why something of the hub cannot be had."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]


def _build_model(config: dict[str, Any]) -> nn.Module:
    transformers = _import_transformers()
    kind = str(config.get("model_type"))
    ours = ("model_type", "image_mean", "image_std")
    try:
        described = transformers.AutoConfig.for_model(
            kind, **{key: value for key, value in config.items() if key not in ours}
        )
        described.output_hidden_states = True
        known = type(described) in transformers.AutoModel._model_mapping
        door = transformers.AutoModel if known else transformers.AutoBackbone
        model: nn.Module = door.from_config(described)
    except (KeyError, ValueError) as error:
        raise SettingsError(f"network.encoder: transformers has no backbone {kind!r}") from error
    return model.eval()


def _import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError(
            "encoders of the hub need transformers: pip install 'mapose[hub]'"
        ) from error
    return transformers


def _tell_missing(name: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"network.encoder: the weights of {name!r} cannot be had ({tell_reason(error)}): give a "
        "folder that was saved on a machine with network, or train it from nothing with "
        "--set network.pretrained=false"
    )
