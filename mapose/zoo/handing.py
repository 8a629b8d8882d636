"""Models made ready for others: with a card and checksums, in the zoo or in one zip file."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

from mapose.files import claim_output, make_mark, name_work, write_atomically
from mapose.models import Model
from mapose.zoo.cards import list_parts, write_card, write_checksums
from mapose.zoo.catalogue import check_name, find_model, find_zoo
from mapose.zoo.getting import copy_model, place_model


def add_model(
    model: str | os.PathLike[str],
    *,
    name: str | None = None,
    licence: str | None = None,
    card: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Path:
    """Give a model a card and checksums, and put it into the zoo or into a zip file.

    Parameters
    ----------
    model : path
        Its folder, such as one in ``models`` of a project, which stays as it is; or ``zoo:NAME``.
    name : str, optional
        That it is to have; by default that of its folder.
    licence : str, optional
        Under which others may use it, for the card.
    card : path, optional
        Text of the card, Markdown; by default what the model's description says.
    output : path, optional
        A zip file for another lab, which `get_model` opens; by default the model goes into the
        user's own zoo.
    force : bool
        Replace a model of that name, or a zip file that something else made.

    Returns
    -------
    Path
        Folder in the zoo, or zip file.

    Raises
    ------
    FormatError
        If the folder holds no whole model.
    SettingsError
        If there is another model or file of that name.
    """
    source = find_model(model)
    name = check_name(name or source.resolve().name)
    text = Path(card) if card is not None else None
    if output is None:
        with place_model(name, force=force) as folder:
            _make_ready(source, folder, licence=licence, card=text)
        return find_zoo() / name
    path = Path(output)
    made = name_work("zoo add", [source], name=name, licence=licence, card=text and text.name)
    inputs = [source, *([text] if text else [])]
    with (
        claim_output(path, inputs=inputs, suffixes=[".zip"], made=made, force=force),
        tempfile.TemporaryDirectory(prefix="mapose-") as place,
        write_atomically(path) as temporary,
    ):
        folder = Path(place) / name
        folder.mkdir()
        _make_ready(source, folder, licence=licence, card=text)
        Model.load(folder)
        _pack(folder, temporary, made)
    return path


def _make_ready(source: Path, folder: Path, *, licence: str | None, card: Path | None) -> None:
    copy_model(source, folder)
    write_card(folder, licence=licence, card=card)
    write_checksums(folder)


def _pack(folder: Path, path: Path, made: str) -> None:
    # Weights hardly get smaller: not packed, they are written and read in no time.
    with zipfile.ZipFile(path, "w") as file:
        for part in list_parts(folder):
            file.write(folder / part, f"{folder.name}/{part}")
        file.comment = make_mark(made).encode("ascii")
