"""Cameras in files of OpenCV's FileStorage, also as ROS and EasyMocap write them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.files.damage import read_text
from calibration.files.keys import FIELDS, name_fields, read_flag
from calibration.files.parameters import Parameters, is_for_rows, make_cameras
from calibration.files.sizes import Sizes, list_parameter_files

Document = dict[str, Any]

# Also M1 and D1, of OpenCV's stereo sample; a bare M is too little to go by.
_LABELLED = re.compile(
    "(" + "|".join(sorted(FIELDS, key=len, reverse=True)) + "|m)_?([0-9]+|left|right|l|r|_.+)",
    re.IGNORECASE,
)
# Intrinsics and extrinsics in two files: OpenCV's stereo sample, EasyMocap.
_PARTNERS = {"intrinsics": "extrinsics", "intri": "extri"}
# So JARVIS calls its matrix, which like its R multiplies rows from the left.
_OF_JARVIS = "intrinsicMatrix"


def read_opencv(path: Path, sizes: Sizes) -> tuple[list[Camera], str]:
    """Read cameras from a FileStorage file, or a folder with one file per camera.

    Parameters
    ----------
    path : Path
        One camera at the top level (``camera_matrix`` and ``distortion_coefficients``, or one of
        their other usual names); several as maps, or with a label at each key (``K_01``,
        ``cameraMatrix_left``); a stereo pair (``M1 D1 M2 D2 R T``). Extrinsics may lie in a file
        ``extrinsics`` or ``extri`` beside ``intrinsics`` or ``intri``. Files of JARVIS, whose
        matrices are for row vectors, are turned round.
    sizes : Sizes
        Sizes of the images, for files that do not say.

    Returns
    -------
    cameras : list of Camera
        Where no camera has a pose, all stand at the origin, with a warning if there are several.
    unit : str
        ``"unknown"``: such files do not say.

    Raises
    ------
    CalibrationError
        If the file cannot be read or holds no camera.
    """
    if path.is_dir():
        files = list_parameter_files(path, (".yml", ".yaml", ".xml", ".json"))
        tables: dict[str, Document] = {}
        for file in files:
            found = _find_tables(_load_with_partner(file), file.stem)
            tables |= {file.stem if len(found) == 1 else n: t for n, t in found.items()}
    else:
        tables = _find_tables(_load_with_partner(path), path.stem)
    tables = {name: table for name, table in tables.items() if "matrix" in table}
    if not tables:
        others = sorted(p.name for p in path.glob("*.toml"))[:5] if path.is_dir() else []
        hint = f"; name the file itself: {', '.join(others)}" if others else ""
        raise CalibrationError(
            f"{path} holds no camera: wanted a camera_matrix, or K_<camera>, of shape (3, 3){hint}"
        )
    found_cameras = [_read_parameters(name, table) for name, table in tables.items()]
    return make_cameras(found_cameras, sizes, path), "unknown"


def _load_with_partner(path: Path) -> Document:
    document = load_document(path)
    for one, other in _PARTNERS.items():
        for mine, theirs in ((one, other), (other, one)):
            partner = path.with_name(path.name.replace(mine, theirs))
            if path.stem == mine and partner.exists():
                return document | load_document(partner)
    return document


def load_document(path: Path) -> Document:
    """Load a file as dicts, lists, arrays, texts and numbers."""
    text = read_text(path)
    if path.suffix.lower() in (".yml", ".yaml"):
        text = _indent_lists(text)
    if path.suffix.lower() in (".yml", ".yaml") and not text.startswith("%YAML"):
        text = "%YAML:1.0\n---\n" + text.removeprefix("---\n")
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        document = _simplify(storage.root())
    except (cv2.error, SystemError) as error:
        cause = re.search(r"\((\d+)\): ([^']*)", str(error.__cause__ or error))
        where = f" (line {cause[1]}: {cause[2].strip()})" if cause else ""
        raise CalibrationError(
            f"{path} is not a FileStorage file of OpenCV{where}: wanted maps with camera_matrix, "
            "distortion_coefficients, R and T, or a .toml with Anipose's keys"
        ) from error
    if isinstance(document, list):
        document = {path.stem: document}
    if not isinstance(document, dict):
        raise CalibrationError(f"{path} is empty: wanted the parameters of cameras")
    return document


def _indent_lists(text: str) -> str:
    """Indent lists that begin in the column of their key: YAML allows that, OpenCV does not."""
    lines, waiting, moved = text.splitlines(), -1, -1
    for n, line in enumerate(lines):
        bare, column = line.strip(), len(line) - len(line.lstrip(" "))
        if not bare or bare.startswith("#"):
            continue
        listed = bare.startswith("- ")
        if listed and column == waiting:
            moved = column
        if moved >= 0 and (column > moved or (listed and column == moved)):
            lines[n] = f"  {line}"
        else:
            moved, waiting = -1, column if bare.endswith(":") else -1
    return "\n".join([*lines, ""])


def _simplify(node: Any) -> Any:
    if node.isMap():
        # In a JSON list OpenCV leaves the keys their quotes.
        children = {key.strip('"'): node.getNode(key) for key in list(node.keys())}
        if {"dt", "data"} <= set(children):  # a matrix, of two or any number of dimensions
            return _read_matrix(node, children)
        found = {key: _simplify(child) for key, child in children.items()}
        if {"rows", "cols", "data"} <= set(found):  # ROS
            return np.reshape(found["data"], (int(found["rows"]), int(found["cols"])))
        return found
    if node.isSeq():
        return [_simplify(node.at(i)) for i in range(node.size())]
    return node.string() if node.isString() else node.real()


def _read_matrix(node: Any, parts: dict[str, Any]) -> Any:
    """Read a matrix whose size is that of its data.

    OpenCV allocates what the file claims, and writes what is there, however much that is.
    """
    lengths = parts.get("sizes")
    sides = [parts.get("rows"), parts.get("cols")]
    if lengths is not None:
        sides = [lengths.at(i) for i in range(min(lengths.size(), 32))]
    whole = [int(s.real()) if s is not None and s.isInt() else -1 for s in sides]
    kind = re.fullmatch(r"(\d{0,3})[a-zA-Z]", parts["dt"].string())
    if min(whole, default=-1) < 0 or kind is None:
        raise CalibrationError("a matrix wants whole numbers of rows and cols, and a type dt")
    count, stored = math.prod(whole) * int(kind[1] or 1), parts["data"].size()
    if count != stored:
        raise CalibrationError(f"a matrix of {count} numbers has {stored}")
    return node.mat()


def _find_tables(document: Document, stem: str) -> dict[str, Document]:
    """Find the parameters of each camera, by the names that `Camera` has for them."""
    whole = _name_fields(document)
    if "matrix" in whole:
        return {str(whole.get("name", stem)): whole}
    for nested in (document, *(v for v in document.values() if isinstance(v, dict))):
        inner = {key: _name_fields(v) for key, v in _list_inner(nested)}
        inner = {str(t.get("name", key)).strip(): t for key, t in inner.items() if "matrix" in t}
        if inner:
            return inner
    stereo = "rotation" in whole and "translation" in whole
    tables = _sort_labelled(document, ("matrix", "distortion") if stereo else None)
    if stereo and len(tables) == 2:
        left, right = tables.values()
        left |= {"rotation": np.zeros(3), "translation": np.zeros(3)}
        right |= {k: whole[k] for k in ("rotation", "translation")}
    for table in tables.values():
        table |= {k: whole[k] for k in ("size", "width", "height") if k in whole and k not in table}
    return tables


def _list_inner(document: Document) -> Iterator[tuple[str, Document]]:
    """List the maps in a map, also those in lists, which are called by their numbers."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield key, value
        elif isinstance(value, list):
            yield from (
                (f"{key}_{i}", each) for i, each in enumerate(value) if isinstance(each, dict)
            )


def _name_fields(document: Document) -> Document:
    return name_fields(document) | {"rows": _OF_JARVIS in document}


def _sort_labelled(document: Document, only: tuple[str, ...] | None) -> dict[str, Document]:
    """Sort keys such as K_01 and dist_01, or M1 and D1, by their label.

    Of a stereo pair only matrices and distortion are meant: its R1 and R2 rectify.
    """
    tables: dict[str, Document] = {}
    for key, value in document.items():
        squeezed = re.sub(r"_(?=[a-z]*(?:matrix|coef|vec|size|width|height))", "", key, flags=re.I)
        found = _LABELLED.fullmatch(squeezed)
        if not found:
            continue
        field = FIELDS.get(found[1].lower(), "matrix")
        if only is not None and field not in only:
            continue
        table = tables.setdefault(found[2].lstrip("_"), {})
        # Rot_01, a matrix, says the same as the vector R_01, with more digits.
        if field not in table or np.size(value) > np.size(table[field]):
            table[field] = value
    return dict(sorted(tables.items())) if only else tables


def _read_parameters(name: str, table: Document) -> Parameters:
    size = table.get("size")
    if size is None and "width" in table and "height" in table:
        size = table["width"], table["height"]
    model = str(table.get("model", "")).lower()
    matrix, rotation = table["matrix"], table.get("rotation")
    if table.get("rows") and is_for_rows(matrix):
        matrix = np.transpose(matrix)
        rotation = np.transpose(rotation) if np.size(rotation) == 9 else rotation  # type: ignore[arg-type]
    return Parameters(
        name,
        matrix,
        table.get("distortion"),
        rotation,
        table.get("translation"),
        size,
        fisheye=read_flag(table.get("fisheye", 0)) or model in ("fisheye", "equidistant"),
    )
