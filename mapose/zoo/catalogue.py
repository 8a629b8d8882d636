"""Where ready models are: those that come with mapose, and a user's own."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mapose.errors import FormatError, SettingsError, suggest_name
from mapose.reading import is_plain_name
from mapose.zoo.cards import (
    DESCRIPTION,
    list_parts,
    read_description,
    read_licence,
    verify_checksums,
)

#: How a model of the zoo is told from a folder on the command line.
PREFIX = "zoo:"
#: Names the folder in which a user's models are kept, in place of the system's usual one.
VARIABLE = "MAPOSE_ZOO"


@dataclass(frozen=True)
class ZooList:
    """The models that ``zoo:NAME`` can stand for.

    Parameters
    ----------
    models : list of dict
        Of each its ``name``, ``licence``, number of ``keypoints``, ``size`` in bytes, ``folder``,
        and ``own``: whether it was got or added by the user. ``fault`` says why it cannot be used,
        None if it can.
    """

    models: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return {"models": self.models}

    def __str__(self) -> str:
        lines = [f"{'model':<24} {'keypoints':>9} {'size':>9}  licence"]
        for m in self.models:
            size = f"{m['size'] / 1e6:.1f} MB"
            told = m["fault"] or m["licence"]
            lines.append(f"{PREFIX + m['name']:<24} {m['keypoints'] or '-':>9} {size:>9}  {told}")
        return "\n".join(lines)


def find_zoo() -> Path:
    """Find the folder in which a user's own models are kept; it need not be there yet.

    It is that of the environment variable ``MAPOSE_ZOO``, else the system's usual place for data.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "mapose" / "zoo"


def find_folders() -> dict[str, Path]:
    """Find the folders of all models by name; a user's own goes before one that came with mapose.

    Examples
    --------
    >>> "drawn-mice" in find_folders()
    True
    """
    own = find_zoo()
    places = [Path(str(resources.files("mapose.zoo"))), *([own] if own.is_dir() else [])]
    folders = [folder for place in places for folder in sorted(place.iterdir())]
    return {
        f.name: f for f in folders if (f / DESCRIPTION).is_file() and not f.name.startswith(".")
    }


def is_own(folder: Path) -> bool:
    """Tell whether a model is a user's own, not one that came with mapose."""
    return folder.parent == find_zoo()


def list_models() -> ZooList:
    """List the models that come with mapose and those that were got or added.

    Examples
    --------
    >>> "drawn-mice" in [model["name"] for model in list_models().models]
    True
    """
    return ZooList([_describe(name, folder) for name, folder in sorted(find_folders().items())])


def _describe(name: str, folder: Path) -> dict[str, Any]:
    licence, keypoints, fault = "", None, None
    try:
        skeleton = read_description(folder).get("skeleton")
        keypoints = len(skeleton["keypoints"]) if isinstance(skeleton, dict) else None
        licence = read_licence(folder)
    except (FormatError, LookupError, TypeError) as damage:
        fault = f"damaged: {damage}"
    return {
        "name": name,
        "licence": licence,
        "keypoints": keypoints,
        "size": sum((folder / part).stat().st_size for part in list_parts(folder)),
        "own": is_own(folder),
        "folder": str(folder),
        "fault": fault,
    }


def find_model(name: str | os.PathLike[str]) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    name : str or Path
        ``zoo:NAME`` for a model of the zoo, whose files are held against their checksums where it
        has any; anything else is a folder already.

    Raises
    ------
    SettingsError
        If the zoo has no such model.
    FormatError
        If its files are damaged.

    Examples
    --------
    >>> find_model("zoo:drawn-mice").name
    'drawn-mice'
    """
    if not os.fspath(name).startswith(PREFIX):
        return Path(name)
    wanted = check_name(os.fspath(name).removeprefix(PREFIX))
    folders = find_folders()
    if wanted not in folders:
        raise SettingsError(f"no model {wanted!r} in the zoo: {suggest_name(wanted, folders)}")
    verify_checksums(folders[wanted])
    return folders[wanted]


def check_name(name: str) -> str:
    """Make sure that a name can be that of a model in the zoo.

    Raises
    ------
    SettingsError
        If it leads elsewhere.
    """
    if not is_plain_name(name) or name.startswith(".") or ":" in name:
        raise SettingsError(f"wanted a plain name for a model of the zoo, came {name!r}")
    return name
