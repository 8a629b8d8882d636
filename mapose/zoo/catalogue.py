"""Where the models that come with mapose are."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mapose.errors import SettingsError, suggest_name

#: How a model of the zoo is told from a folder on the command line.
PREFIX = "zoo:"


def list_models() -> list[str]:
    """List the names of the models that come with mapose.

    Examples
    --------
    >>> list_models()
    ['drawn-mice']
    """
    files = resources.files("mapose.zoo").iterdir()
    return sorted(f.name for f in files if (f / "model.yaml").is_file())


def find_model(name: str | Path) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    name : str or Path
        ``zoo:NAME`` for a model that comes with mapose; anything else is a folder already.

    Raises
    ------
    SettingsError
        If the zoo has no such model.

    Examples
    --------
    >>> find_model("zoo:drawn-mice").name
    'drawn-mice'
    """
    if not str(name).startswith(PREFIX):
        return Path(name)
    wanted = str(name).removeprefix(PREFIX)
    if wanted not in list_models():
        raise SettingsError(
            f"no model {wanted!r} in the zoo: {suggest_name(wanted, list_models())}"
        )
    with resources.as_file(resources.files("mapose.zoo") / wanted) as folder:
        return Path(folder)
