"""The folder of a training run: its name, how it begins, and whether it may be taken up."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapose.config import Settings, load_settings, parse_settings
from mapose.errors import FormatError, SettingsError
from mapose.files import make_folder, name_file, write_yaml
from mapose.labels import Labels
from mapose.locks import is_locked
from mapose.models.checkpoint import WEIGHTS
from mapose.project.crops import Crop
from mapose.project.project import Project
from mapose.reading import load_yaml

Crops = Mapping[str, Crop]
#: Bytes of a picture by which it is known.
_END = 4096
#: What there is of a run that is not finished.
STATE = "state.yaml"
#: Folder in it of the second stage, while that is trained.
SECOND = "second"
#: What is known of a run from its beginning: its settings, their preset, its labels' fingerprint.
_RUN, _PRESET, _LABELS = "run.yaml", "preset", "labels"


def check_name(name: str) -> None:
    """Refuse a name of a model that cannot be that of a folder.

    Raises
    ------
    SettingsError
        If it cannot.
    """
    if name_file(name) != name or name in ("", ".", ".."):
        raise SettingsError(f"--name: wanted the name of a folder, came {name!r}")


def name_run(project: Project, name: str | None, preset: str | Path) -> Path:
    """Find a folder for a new run: one that is not there yet, or of a run that never began."""
    models, number = make_folder(project.path / "models"), 1
    for finished in models.glob("*/model.yaml"):
        if not is_locked(finished.parent):
            remove_state(finished.parent)  # of a run that was killed when all was done
    while name is None:
        folder = models / f"{Path(preset).stem}-{number}"
        if _is_free(folder) and not is_locked(folder):
            return folder
        number += 1
    check_name(name)
    folder = models / name
    if not _is_free(folder):
        raise SettingsError(f"{folder} exists already: choose another name, or --resume")
    return folder


def _is_free(folder: Path) -> bool:
    """Tell whether a folder holds nothing, or only what a run leaves that was killed at once."""
    return not folder.exists() or (
        folder.is_dir()
        and all(p.name == _RUN or p.suffix in (".tmp", ".safetensors") for p in folder.iterdir())
        and not (folder / WEIGHTS).exists()
    )


@dataclass(frozen=True)
class ModelList:
    """The models of a project, the newest last.

    Parameters
    ----------
    models : list of dict
        Of each its ``name``, ``encoder``, ``labels`` that it was trained on, ``steps``, and
        ``mean`` and ``median`` error, px, and OKS ``map`` on test frames; None = not measured.
    """

    models: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return {"models": self.models}

    def __str__(self) -> str:
        if not self.models:
            return "no models yet: mapose train DIR"
        head = f"{'model':<20} {'encoder':<20} {'labels':>6} {'steps':>7} {'mean':>8} {'median':>8}"
        lines = [f"{head} {'mAP':>6}"]
        for model in self.models:
            errors = [_show(model[key], " px", 2, 8) for key in ("mean", "median")]
            lines.append(
                f"{model['name']:<20} {model['encoder']:<20} {model['labels']:>6} "
                f"{model['steps']:>7} {' '.join(errors)} {_show(model['map'], '', 3, 6)}"
            )
        return "\n".join(lines)


def _show(value: float | None, unit: str, digits: int, width: int) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}{unit}':>{width}}"


def list_models(project: Project) -> ModelList:
    """List the models of a project with the errors that they had when they were trained."""
    rows = []
    for name in project.list_models():
        model = project.load_model(name)
        test = model.record.get("metrics", {}).get("test", {})
        chosen = model.record.get("settings", {}).get("network", {})
        rows.append(
            {
                "name": name,
                "encoder": chosen.get("encoder", "residual"),
                "labels": len(model.split.get("train", [])),
                "steps": model.record.get("steps", 0),
                **{key: test.get(key) for key in ("mean", "median", "map")},
            }
        )
    return ModelList(rows)


def begin_run(
    folder: Path, settings: Settings, labels: Labels, preset: str | Path, crops: Crops
) -> None:
    """Make the folder of a run, with what it is to be known by when it is taken up."""
    if folder.exists():
        shutil.rmtree(folder)
    make_folder(folder)
    known = {**settings.model_dump(mode="json"), _PRESET: str(preset)}
    known[_LABELS] = _fingerprint(labels, crops)
    write_yaml(known, folder / _RUN)


def remove_state(folder: Path) -> None:
    """Remove from the folder of a run what only a run that is not finished needs."""
    # The state first: with it and without its tensors, a run would seem to be damaged.
    for leftover in [folder / STATE, *folder.glob("step-*.safetensors")]:
        leftover.unlink(missing_ok=True)
    shutil.rmtree(folder / SECOND, ignore_errors=True)


def has_state(project: Project, name: str | None) -> bool:
    """Tell whether there is a run of this name to go on with."""
    return name is not None and (project.path / "models" / name / STATE).is_file()


def find_run(project: Project, name: str | None) -> tuple[Path, Settings]:
    """Find the run to go on with, and the settings that hold in it."""
    models = project.path / "models"
    chosen = [p.parent for p in models.glob(f"*/{STATE}") if name in (None, p.parent.name)]
    if not chosen:
        raise SettingsError(f"{models}: no interrupted training to resume")
    folder = max(chosen, key=lambda p: (p / STATE).stat().st_mtime)
    raw = _read_run(folder)
    for key in (_LABELS, _PRESET):
        raw.pop(key, None)
    return folder, parse_settings(Settings, raw)


def _read_run(folder: Path) -> dict[str, Any]:
    try:
        found = load_yaml((folder / _RUN).read_text(encoding="utf-8"), folder / _RUN)
    except (FileNotFoundError, ValueError, FormatError):
        found = None
    if not isinstance(found, dict):
        raise SettingsError(
            f"{folder / _RUN} is missing or damaged, so this training cannot be resumed: begin a "
            "new one without --resume"
        )
    return found


def check_same(
    folder: Path,
    settings: Settings,
    labels: Labels,
    *,
    crops: Crops,
    preset: str | Path | None = None,
    overrides: Iterable[str] = (),
) -> None:
    """Make sure that a run goes on as it began: with its settings, on its labels.

    Raises
    ------
    SettingsError
        If another setting is asked for, or labels have changed: frames that were trained on
        would become frames to test with.
    """
    run, has = _read_run(folder), settings.model_dump(mode="json")
    pairs = [("--preset", run.get(_PRESET), preset and str(preset))]
    overrides = list(overrides)
    every = load_settings(overrides=overrides).model_dump(mode="json")
    for name in (text.partition("=")[0].strip() for text in overrides):
        section, _, key = name.partition(".")
        pairs.append((name, has[section][key], every[section][key]))
    for name, began, wanted in pairs:
        if None not in (began, wanted) and began != wanted:
            raise SettingsError(
                f"--resume: the run {folder.name} was begun with {name}={began}, now wanted is "
                f"{wanted}: leave it out to go on as begun, or train anew without --resume"
            )
    if run.get(_LABELS) not in (None, _fingerprint(labels, crops)):
        raise SettingsError(
            f"--resume: labels or crops have changed since the run {folder.name} was begun; train "
            "anew without --resume, or put them back as they were"
        )


def _fingerprint(labels: Labels, crops: Crops) -> str:
    """Tell one set of labels, with what is looked at of its images, from another."""
    digest = hashlib.sha256(repr((labels.row_names, labels.individuals)).encode())
    digest.update(np.nan_to_num(labels.points, nan=-1e6).tobytes())
    used = sorted((video, crop) for video, crop in crops.items() if video in labels.videos)
    digest.update(repr(used).encode() if used else b"")
    for image in labels.images:
        digest.update(b"" if image is None else _read_end(image))
    return digest.hexdigest()[:16]


def _read_end(image: Path) -> bytes:
    """Read the size and the last bytes of a picture, which tell it: all of them would take long."""
    size = image.stat().st_size
    with image.open("rb") as file:
        file.seek(max(0, size - _END))
        return str(size).encode() + file.read()
