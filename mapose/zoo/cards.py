"""What goes with a model: a card for people, and checksums of its files.

The card is ``README.md`` with a head in YAML, as the hubs for models write it; checksums are
``SHA256SUMS``, which ``sha256sum --check`` reads as well.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from mapose.errors import FormatError
from mapose.files import write_atomically
from mapose.reading import explain_damage, load_yaml

CARD, CHECKSUMS, DESCRIPTION = "README.md", "SHA256SUMS", "model.yaml"
#: What is shown where no card says under which licence a model may be used.
UNSTATED = "not stated"
# All that a model may consist of. Nothing of it is ever run or unpickled.
_PART = re.compile(
    r"model\.yaml|(weights|refiner)\.safetensors|README\.md|SHA256SUMS"
    r"|(LICENSE|LICENCE|NOTICE)(\.md|\.txt)?|(pose|detector)/[\w.-]+\.(json|safetensors)"
)
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*\n", re.DOTALL)


def is_part(name: str) -> bool:
    """Tell whether a file, by its name relative to a model's folder, is part of the model.

    Examples
    --------
    >>> [is_part(name) for name in ("weights.safetensors", "pose/config.json", "setup.py")]
    [True, True, False]
    """
    return _PART.fullmatch(name) is not None


def list_parts(folder: Path) -> list[str]:
    """List the files that a model consists of, relative to its folder."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if is_part(name))


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files of a model beside them."""
    names = [name for name in list_parts(folder) if name != CHECKSUMS]
    lines = [f"{hash_file(folder / name)}  {name}\n" for name in names]
    with write_atomically(folder / CHECKSUMS) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def verify_checksums(folder: Path) -> None:
    """Hold the files of a model against their checksums, if there are any.

    Raises
    ------
    FormatError
        If one does not fit: the file is damaged, or not what was handed out.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    with explain_damage(path):
        lines = path.read_text(encoding="utf-8").splitlines()
    known = {found[2]: found[1] for line in lines if (found := _LINE.fullmatch(line.strip()))}
    parts = [name for name in list_parts(folder) if name != CHECKSUMS]
    for name in sorted({*parts, *known}):
        if name not in known or name not in parts:
            state = "is not among" if name not in known else "is missing, but among"
            raise FormatError(f"{folder.name}: {name} {state} the checksums; get the model again")
        if hash_file(folder / name) != known[name]:
            raise FormatError(
                f"{folder.name}: {name} is not the file that its checksum is of; get it again"
            )


def read_head(folder: Path) -> dict[str, Any]:
    """Read the head of a model's card; an empty one where there is none.

    Raises
    ------
    FormatError
        If it is no YAML.
    """
    path = folder / CARD
    if not path.is_file():
        return {}
    with explain_damage(path):
        found = _HEAD.match(path.read_text(encoding="utf-8").replace("\r\n", "\n"))
    head = load_yaml(found[1], path) if found else None
    return head if isinstance(head, dict) else {}


def read_licence(folder: Path) -> str:
    """Read from a model's card under which licence it may be used."""
    return str(read_head(folder).get("license") or UNSTATED)


def write_card(folder: Path, *, licence: str | None = None, card: Path | None = None) -> None:
    """Write a model's card.

    Parameters
    ----------
    folder : Path
        Of the model; a card that is there stays, but for what is given here.
    licence : str, optional
        Under which the model may be used, such as ``"CC-BY-4.0"``.
    card : Path, optional
        A text about the model, in Markdown, with or without a head. By default the text says what
        the model's description does.

    Raises
    ------
    FormatError
        If a file cannot be read.
    """
    source = card or folder / CARD
    text = ""
    if card is not None or source.is_file():
        with explain_damage(source):
            text = source.read_text(encoding="utf-8").replace("\r\n", "\n")
    found = _HEAD.match(text)
    head = (load_yaml(found[1], source) if found else None) or {}
    if not isinstance(head, dict):
        raise FormatError(f"{source}: wanted 'key: value' lines between the first two '---'")
    body = text[found.end() :] if found else text
    if licence is not None:
        head["license"] = licence
    body = body.strip() or describe_model(folder)
    told = yaml.safe_dump({"license": UNSTATED, **head}, sort_keys=False, allow_unicode=True)
    with write_atomically(folder / CARD) as temporary:
        temporary.write_text(f"---\n{told}---\n\n{body}\n", encoding="utf-8")


def describe_model(folder: Path) -> str:
    """Say in Markdown what the description of a model does: keypoints, labels, errors."""
    raw = read_description(folder)
    keypoints: Iterable[Any] = (raw.get("skeleton") or {}).get("keypoints") or ()
    lines = [f"# {folder.name}", "", f"- keypoints: {', '.join(map(str, keypoints))}"]
    if trained := len((raw.get("split") or {}).get("train") or ()):
        lines.append(f"- trained on {trained} labelled frames")
    test = ((raw.get("record") or {}).get("metrics") or {}).get("test")
    if isinstance(test, dict) and isinstance(test.get("mean"), float):
        lines.append(f"- on test frames: mean error {test['mean']:.2f} px")
    return "\n".join(lines)


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``model.yaml`` of a model.

    Raises
    ------
    FormatError
        If there is none, or it is damaged.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise FormatError(f"{folder}: wanted a model folder with {DESCRIPTION} in it")
    with explain_damage(path):
        raw = load_yaml(path.read_text(encoding="utf-8"), path)
    if not isinstance(raw, dict):
        raise FormatError(f"{path}: wanted the description of a model, found other YAML")
    return raw
