"""Models made ready for others: with a card and checksums, in the zoo or in one zip file."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

from mapose.errors import SettingsError
from mapose.files import claim_output, make_mark, name_work, write_atomically
from mapose.models import TopDown, is_top_down, open_model
from mapose.zoo.cards import list_parts, write_card, write_checksums
from mapose.zoo.catalogue import check_name, find_model, find_zoo
from mapose.zoo.getting import copy_model, place_model


def add_model(
    model: str | os.PathLike[str],
    *,
    name: str | None = None,
    licence: str | None = None,
    card: str | os.PathLike[str] | None = None,
    head: str | os.PathLike[str] | None = None,
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
    head : path, optional
        For ``zoo:quadrupeds``: the original checkpoint of ViTPose++, whose head for animals is
        taken, as the hub has the one for people only.
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
    given = Path(head) if head is not None else None
    if given is not None and not is_top_down(source):
        raise SettingsError(f"head: {model} is a model of its own, without another one's head")
    if output is None:
        with place_model(name, force=force) as folder:
            _make_ready(source, folder, licence=licence, card=text, head=given)
        return find_zoo() / name
    path = Path(output)
    inputs = [source, *(path for path in (text, given) if path)]
    made = name_work("zoo add", inputs, name=name, licence=licence)
    with (
        claim_output(path, inputs=inputs, suffixes=[".zip"], made=made, force=force),
        tempfile.TemporaryDirectory(prefix="mapose-") as place,
        write_atomically(path) as temporary,
    ):
        folder = Path(place) / name
        folder.mkdir()
        _make_ready(source, folder, licence=licence, card=text, head=given)
        open_model(folder)
        _pack(folder, temporary, made)
    return path


def _make_ready(
    source: Path, folder: Path, *, licence: str | None, card: Path | None, head: Path | None
) -> None:
    copy_model(source, folder)
    if is_top_down(folder) and (head is not None or not (folder / "pose").is_dir()):
        # With its weights, for machines without network.
        TopDown.load(folder, head=head).save(folder)
    write_card(folder, licence=licence, card=card)
    write_checksums(folder)


def _pack(folder: Path, path: Path, made: str) -> None:
    # Weights hardly get smaller: not packed, they are written and read in no time.
    with zipfile.ZipFile(path, "w") as file:
        for part in list_parts(folder):
            file.write(folder / part, f"{folder.name}/{part}")
        file.comment = make_mark(made).encode("ascii")
