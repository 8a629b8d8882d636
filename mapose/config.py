"""Typed, strict settings: one model per stage, presets by name, overrides from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from mapose.errors import SettingsError, suggest_name
from mapose.reading import explain_damage, load_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _check_factor(value: float) -> float:
    if value not in (0.25, 0.5, *range(1, 17)):
        raise ValueError("wanted a whole number from 1 to 16, or 0.5 or 0.25 to enlarge")
    return value if value < 1 else int(value)


Factor = Annotated[float, AfterValidator(_check_factor)]


def _check_depths(net: NetworkSettings | RefineSettings) -> Any:
    widths, depths = len(net.widths), len(net.depths)
    if depths != widths:
        raise ValueError(
            f"widths and depths: wanted equally many, came {widths} and {depths} numbers"
        )
    return net


class NetworkSettings(_Strict):
    """What the network looks like."""

    encoder: str = Field(
        "residual",
        pattern=r"^(residual|efficientnet-lite0|hub:.+)$",
        description="residual, efficientnet-lite0, or hub:NAME or hub:FOLDER of transformers",
    )
    pretrained: bool = Field(True, description="encoder begins with weights of ImageNet's pictures")
    widths: tuple[int, ...] = Field((24, 48, 96, 128, 160), min_length=3, max_length=6)
    depths: tuple[int, ...] = (0, 1, 1, 2, 2)
    stride: Literal[2, 4, 8] | None = Field(
        None, description="input pixels per map cell; found from the labels"
    )
    factor: Factor | None = Field(
        None, description="image pixels per input pixel: 1 to 16, 0.5 or 0.25; found as well"
    )
    channels: Literal[1, 3] | None = Field(None, description="grey or colour")
    links: tuple[tuple[str, str], ...] | None = Field(
        None, description="pairs of keypoints with an affinity field; found from the labels"
    )

    @model_validator(mode="after")
    def _check_levels(self) -> NetworkSettings:
        """Hold the widths against what the encoder has."""
        if self.encoder == "residual":
            _check_depths(self)
        if self.encoder == "efficientnet-lite0" and len(self.widths) < 5:
            raise ValueError(
                f"widths: {self.encoder} wants 5 numbers, came {len(self.widths)}; "
                "those of --preset small may be fewer"
            )
        return self


class AugmentSettings(_Strict):
    """How far a random view goes from the labelled image; None = found from the labels."""

    rotation: float | None = Field(None, ge=0, le=180, description="degrees to either side")
    scale: float = Field(1.25, ge=1)
    translation: float = Field(0.25, ge=0, le=0.5)
    flip: bool | None = None
    contrast: float = Field(0.3, ge=0, lt=1)
    brightness: float = Field(0.15, ge=0, lt=1)
    noise: float = Field(8.0, ge=0)
    blur: float = Field(1.0, ge=0)
    dropout: int = Field(3, ge=0)
    background: float | None = Field(None, ge=0, le=1, description="share of views at random")


class TrainSettings(_Strict):
    """How the network is trained."""

    steps: int | None = Field(None, ge=1, description="chosen from the labels by default")
    effort: float = Field(1.0, gt=0, description="times the steps that are chosen")
    minutes: float | None = Field(None, gt=0, description="limit of time; none by default")
    batch: int = Field(4, ge=1, description="views per step; more where animals are tiny")
    view: int | None = Field(None, ge=64, description="side of training views, input pixels")
    rate: float = Field(2e-3, gt=0, description="highest learning rate")
    encoder_rate: float = Field(1.0, gt=0, description="of the encoder, times the rate")
    frozen: int = Field(
        0, ge=0, le=5, description="strides of the encoder not trained; of a hub's 0 or all"
    )
    decay: float = Field(1e-2, ge=0, description="weight decay")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weight average")
    test: float = Field(0.1, ge=0, lt=1, description="share of frames kept for testing")
    validation: float | None = Field(
        None, ge=0, lt=1, description="share of the others to judge the training by; few by default"
    )
    split: Literal["frame", "video", "animal"] = Field(
        "frame", description="what is kept for testing"
    )
    split_seed: int | None = Field(None, ge=0, description="of the split; by default the seed")
    folds: int | None = Field(None, ge=2, description="equal parts, in place of a share")
    fold: int = Field(0, ge=0, description="the part that is tested with, from 0")
    every: int | None = Field(None, ge=1, description="steps between validations; a twelfth")
    patience: int = Field(16, ge=1, description="validations without improvement before stopping")
    snapshots: int = Field(
        0, ge=0, description="validations whose weights are kept, the newest; the best always is"
    )
    labels: int | None = Field(None, ge=1, description="frames to train on at most, validation too")
    mixed: bool = Field(True, description="bfloat16 where the device is faster with it")
    deterministic: bool = Field(
        False, description="the same weights each time also on a GPU, more slowly; on a CPU always"
    )
    missing: Literal["absent", "unknown"] = "absent"
    identity: bool | None = Field(
        None, description="learn to tell animals apart that have names; if the project names them"
    )
    seed: int = 0


class RefineSettings(_Strict):
    """The second stage: a look at a crop around each animal; None = found from the labels."""

    when: Literal["never", "better", "always"] = Field(
        "never", description="whether it is trained; kept if better on validation frames"
    )
    factor: Factor | None = Field(None, description="image pixels per crop pixel")
    side: int | None = Field(None, ge=64, le=384, multiple_of=32, description="crop pixels")
    widths: tuple[int, ...] = Field((24, 48, 96, 128), min_length=3, max_length=6)
    depths: tuple[int, ...] = (0, 1, 1, 2)
    stride: Literal[2, 4] = 2
    steps: int | None = Field(None, ge=1, description="chosen from the labels by default")
    batch: int = Field(16, ge=1)
    rate: float = Field(2e-3, gt=0, description="highest learning rate")

    _check_levels = model_validator(mode="after")(_check_depths)


class Settings(_Strict):
    """All settings of a training run."""

    network: NetworkSettings = NetworkSettings()
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings()
    refine: RefineSettings = RefineSettings()


class RetrackSettings(_Strict):
    """How 2D poses of a session are tracked again."""

    online: bool = False
    appearance: bool = False
    gallery: Path | None = None


class SpaceSettings(_Strict):
    """How the views of a session become 3D."""

    smooth: bool | Literal["rigid"] = True
    max_gap: int = Field(10, ge=0, description="longest gap that is filled, frames")
    trust_names: bool = Field(False, description="animals are named alike in all views")
    synchronize: bool = False
    cut: bool = False
    rate: float | None = Field(None, gt=0, description="frames/s, instead of what files say")
    times: str | None = Field(
        None, description="file in a session's folder: timestamps, or dropped frames"
    )
    then: str | None = Field(
        None,
        description="1200=after.toml: the calibration from that frame on, in a session's folder",
    )

    @field_validator("then")
    @classmethod
    def _check_then(cls, then: str | None) -> str | None:
        if then and not re.fullmatch(r"\d+=.+", then):
            raise ValueError("wanted FRAME=FILE, such as 1200=after.toml")
        return then


class FilterSettings(_Strict):
    """How poses of a session are smoothed."""

    method: Literal["kalman", "median", "savgol"] = "kalman"
    window: int = 5
    order: int = 2
    max_gap: int = Field(10, ge=0)
    cutoff: float = 0.0


class MotionSettings(_Strict):
    """What is measured of a session."""

    seconds: float = Field(0.2, gt=0, description="over which speeds are measured")
    centre: tuple[str, ...] | None = None
    joints: tuple[tuple[str, str, str], ...] | None = None
    body: tuple[str, str] | None = None
    moving: float | None = None
    near: float | None = None
    rate: float | None = Field(None, gt=0, description="frames/s, if the files do not say")


StepName = Literal["calibrate", "analyze", "track", "triangulate", "filter", "kinematics", "export"]


class SessionSettings(_Strict):
    """What ``session.yaml`` says of the recordings in its folder and below."""

    model: str = Field(description="project, model folder or zoo:NAME")
    individuals: int | None = Field(None, ge=1)
    cameras: tuple[str, ...] | None = Field(
        None, description="words in the names of the videos; by default their whole names"
    )
    board: str | None = Field(None, description="such as charuco:8x11:24mm:18.75mm:4x4_1000")
    boards: str = Field("calibration", description="folder of the videos of the board")
    board_times: str | None = Field(None, description="file in that folder, as triangulate.times")
    fisheye: tuple[str, ...] = ()
    calibration: Path | None = Field(None, description="a file, in place of a board")
    steps: tuple[StepName, ...] | None = Field(
        None, description="all that can be done; track and filter only where they are set"
    )
    track: RetrackSettings | None = None
    triangulate: SpaceSettings = SpaceSettings()
    filter: FilterSettings | None = None
    kinematics: MotionSettings = MotionSettings()
    export: tuple[str, ...] = ("csv",)


def list_presets() -> list[str]:
    """List the names of the presets that come with mapose."""
    files = resources.files("mapose.configs").iterdir()
    return sorted(Path(f.name).stem for f in files if f.name.endswith(".yaml"))


def load_settings(preset: str | Path = "small", overrides: Iterable[str] = ()) -> Settings:
    """Make settings from a preset and overrides.

    Parameters
    ----------
    preset : str or Path
        Name of a preset, or a YAML file of the same form.
    overrides : iterable of str
        ``section.key=value`` each, the value in YAML.

    Raises
    ------
    SettingsError
        If the preset, a section, a key or a value is not usable; all faults at once, with the
        nearest known name.

    Examples
    --------
    >>> load_settings("small", ["train.steps=100"]).train.steps
    100
    """
    raw = _read_preset(preset)
    for override in overrides:
        name, equals, value = override.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise SettingsError(f"--set: wanted section.key=value, came {override!r}")
        if not isinstance(raw.setdefault(section, {}), dict):
            raise SettingsError(f"settings: section {section!r} must hold key: value lines")
        raw[section][key] = load_yaml(value, f"--set {name}", error=SettingsError)
    return parse_settings(Settings, raw)


def parse_settings(model: type[Any], raw: Any) -> Any:
    """Check plain values against a settings model.

    Parameters
    ----------
    model : type of pydantic.BaseModel
        The model.
    raw : dict
        What a YAML file holds.

    Raises
    ------
    SettingsError
        All faults at once; for an unknown key the nearest known one.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = [_describe(model, e) for e in error.errors()]
        raise SettingsError("settings: " + "; ".join(faults)) from None


def _describe(model: type[BaseModel], fault: ErrorDetails) -> str:
    """Say in our words what pydantic has found."""
    place, text, came = fault["loc"], fault["msg"], fault["input"]
    name = ".".join(str(p) for p in place)
    if fault["type"] == "value_error":  # of our own, which says what came
        return f"{name}: {text.removeprefix('Value error, ')}"
    if fault["type"] == "missing":
        return f"{name!r} is wanted and not there"
    if fault["type"] != "extra_forbidden":
        told = f", came {came!r}" if isinstance(came, str | int | float) else ""
        return f"{name}: {text.replace('Input should be', 'wanted')}{told}"
    for part in place[:-1]:
        model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
    return f"no setting {name!r}: {suggest_name(str(place[-1]), model.model_fields)}"


def _read_preset(preset: str | Path) -> dict[str, Any]:
    path = Path(preset)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise SettingsError(f"no settings file {path}")
        with explain_damage(path, SettingsError):
            text = path.read_text(encoding="utf-8-sig")
    elif str(preset) in list_presets():
        text = (resources.files("mapose.configs") / f"{preset}.yaml").read_text(encoding="utf-8")
    else:
        hint = suggest_name(str(preset), list_presets())
        raise SettingsError(f"no preset {str(preset)!r}: {hint}")
    raw = load_yaml(text, preset, error=SettingsError) or {}
    if not isinstance(raw, dict):
        raise SettingsError(f"{preset}: wanted sections of key: value lines")
    return raw
