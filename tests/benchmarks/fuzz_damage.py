"""Ways to damage a file, for `fuzz_readers.py`: by accident, or on purpose."""

from __future__ import annotations

import random
import re
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

#: A file that shows that something in an input was run: an input can only name it.
CANARY = Path(tempfile.gettempdir()) / "mapose-fuzz-canary"
#: A folder that inputs name by its whole path; nothing may be written there.
STRAY = Path(tempfile.gettempdir()) / "mapose-fuzz-stray"

_NUMBERS = [str(2**36), "-1", "nan", "1e308", "0", "1e-320", "inf", "", "abc", str(2**63), "-0.5"]
_NAMES = [
    "..", "../../../stray.png", f"{STRAY}/x.png", "nan", "x" * 5000, "a\\u0000b",
    "a\tb", "C:\\\\x.png", ".", "con", "ä/ö", "..\\\\..\\\\x.png", "", " ", "a/../../b.png",
    "\u202e",
    f"!!python/object/apply:os.system ['touch {CANARY}']",
]  # fmt: skip


def damage_text(data: bytes, rng: random.Random) -> bytes:
    """Change one thing of a text, as somebody with an editor would who means no good."""
    text = data.decode("utf-8", "replace")
    kind = rng.choice(
        (
            "number",
            "number",
            "name",
            "name",
            "line",
            "twice",
            "nest",
            "token",
            "odd",
            "swap",
            "bomb",
        )
    )
    numbers, names = _spans(text, "number"), _spans(text, "name")
    if kind == "number" and numbers:
        return _put(text, rng.choice(numbers), rng.choice(_NUMBERS))
    if kind == "name" and names:
        return _put(text, rng.choice(names), rng.choice(_NAMES))
    if kind == "swap" and names + numbers:  # a value of another type
        other = rng.choice(
            ["[1, [2, 3]]", "{}", "null", "true", '"x"', "[]", "{a: 1}", "2020-01-01", "~"]
        )
        return _put(text, rng.choice(names + numbers), other)
    if kind == "nest":
        depth = rng.choice((50, 3000, 200_000))
        opened, closed = rng.choice(
            (("[", "]"), ('{"a":', "}"), ("<a>", "</a>"), ("- ", ""), ("((", "))"))
        )
        middle = "1" if closed else "x"
        nest = opened * depth + middle + closed * (depth if rng.random() < 0.7 else 0)
        return _put(text, rng.choice(numbers), nest) if numbers else nest.encode()
    if kind == "bomb":
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        return (text + "\n" + "\n".join(lines) + "\n").encode()
    if kind == "odd":
        at = rng.randrange(len(text) + 1)
        odd = rng.choice(
            ["\0", "\ufeff", "\ud800", "\r", '"', "'", "[", "}", ";", "\x1b[2J", ",,,,", "\n\n"]
        )
        return (text[:at] + odd + text[at:]).encode("utf-8", "surrogatepass")
    lines = text.splitlines(keepends=True) or [""]
    at = rng.randrange(len(lines))
    if kind == "line":
        del lines[at]
    elif kind == "twice":
        lines.insert(at, lines[rng.randrange(len(lines))])
    else:
        parts = lines[at].split(",")
        del parts[rng.randrange(len(parts))]
        lines[at] = ",".join(parts)
    return "".join(lines).encode("utf-8", "replace")


def _spans(text: str, kind: str) -> list[tuple[int, int]]:
    pattern = r"-?\d+(?:\.\d+)?(?:e-?\d+)?" if kind == "number" else r"[A-Za-z_][\w./-]*"
    return [m.span() for m in re.finditer(pattern, text)]


def _put(text: str, span: tuple[int, int], new: str) -> bytes:
    return (text[: span[0]] + new + text[span[1] :]).encode("utf-8", "surrogatepass")


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change some bytes, as bad disks and cut copies do, or where lengths may stand."""
    found = bytearray(data)
    kind = rng.choice(
        ("flip", "flip", "cut", "hole", "length", "length", "insert", "repeat", "empty")
    )
    # Headers are small and decide most.
    reach = rng.choice((64, 512, 4096, len(found)))
    at = rng.randrange(min(reach, len(found))) if found else 0
    if kind == "flip":
        for _ in range(rng.choice((1, 3, 30))):
            if found:
                found[rng.randrange(min(reach, len(found)))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del found[at:]
    elif kind == "hole":
        found[at : at + 256] = bytes(len(found[at : at + 256]))
    elif kind == "length":
        value = rng.choice((2**36, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 0, 1, 60000))
        size = rng.choice((2, 4, 8))
        number = (value % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "big")))
        found[at : at + size] = number
    elif kind == "insert":
        found[at:at] = rng.randbytes(rng.choice((1, 7, 300)))
    elif kind == "repeat":
        found[at:at] = found[at : at + 500]
    else:
        del found[:]
    return bytes(found)


def damage_hdf5(path: Path, rng: random.Random) -> None:
    """Change a dataset or attribute of an HDF5 file: its shape, type, values, or whether it is."""
    with h5py.File(path, "r+") as file:
        nodes: list[Any] = [file]
        file.visititems(lambda _, node: nodes.append(node))
        sets = [n for n in nodes if isinstance(n, h5py.Dataset)]
        marked = [n for n in nodes if len(n.attrs)]
        if (rng.random() < 0.3 and marked) or not sets:
            node = rng.choice(marked or nodes)
            name = rng.choice(sorted(node.attrs)) if len(node.attrs) else "format"
            values = [
                2**36,
                -1,
                float("nan"),
                "..",
                "x" * 9000,
                np.zeros(0),
                np.arange(6),
                _pickle(),
                b"\xff",
            ]
            if rng.random() < 0.3:
                del node.attrs[name]
            else:
                node.attrs[name] = rng.choice(values)
            return
        chosen = rng.choice(sets)
        name, shape, dtype = chosen.name, chosen.shape, chosen.dtype
        kind = rng.choice(
            (
                "huge",
                "huge",
                "value",
                "value",
                "shape",
                "type",
                "names",
                "gone",
                "group",
                "long",
                "link",
            )
        )
        if kind == "value" and dtype.kind in "iuf" and chosen.size:
            values = chosen[()]
            extreme = rng.choice((2**36, -1, 0, 1e308, float("nan"), 2**15))
            with np.errstate(all="ignore"):
                flat = np.atleast_1d(values).reshape(-1).astype(float)
                flat[rng.randrange(len(flat))] = extreme
                chosen[...] = flat.reshape(values.shape).astype(dtype)
            return
        del file[name]
        if kind == "huge":
            size = rng.choice((2**36, 2**31, 2**28))
            at = rng.randrange(len(shape)) if shape else 0
            wide = tuple(size if i == at else max(n, 1) for i, n in enumerate(shape or (1,)))
            chunks = tuple(min(n, 16) for n in wide)
            file.create_dataset(name, wide, dtype, chunks=chunks)
        elif kind == "long":
            file.create_dataset(name, (rng.choice((1, 2, 5)),), f"S{2**30}", chunks=(1,))
        elif kind == "shape":
            file[name] = np.zeros(rng.choice(((), (0,), (3,), (1, 2, 3, 4, 5), (7, 7))))
        elif kind == "type":
            file[name] = rng.choice(
                (
                    "text",
                    3,
                    np.array([b"\xff\xfe"] * 2),
                    np.zeros(4, bool),
                    np.zeros(2, [("a", int), ("b", float)]),
                )
            )
        elif kind == "names":
            file[name] = np.array(
                [
                    rng.choice(("..", "nan", "", "a\tb", "../../x", "y" * 5000))
                    for _ in range(rng.choice((1, 2, 300)))
                ],
                object,
            )
        elif kind == "group":
            file.create_group(name)
        elif kind == "link":
            file[name] = h5py.ExternalLink(rng.choice(("/etc/passwd", str(path), "none.h5")), name)


def _pickle() -> bytes:
    """A pickle that leaves the canary when it is run."""
    return b"cos\nsystem\n(S'touch " + str(CANARY).encode() + b"'\ntR."


def damage_png(data: bytes, rng: random.Random) -> bytes:
    """Let a PNG say that it is of another size, with a checksum that is right."""
    sides = rng.choice(((60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 0), (30_000, 30_000)))
    head = (
        b"IHDR"
        + b"".join(n.to_bytes(4, "big") for n in sides)
        + rng.choice((b"\1\0", data[24:26]))
        + data[26:29]
    )
    return data[:12] + head + zlib.crc32(head).to_bytes(4, "big") + data[33:]


_TEXTS = (".csv", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".xml", ".txt", ".trc", ".md")


def damage(path: Path, rng: random.Random) -> None:
    """Damage one file, in one to three ways of the ways there are for its kind."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = path.read_bytes()
        if path.suffix == ".png" and rng.random() < 0.4 and len(data) > 40:
            data = damage_png(data, rng)
        elif data[:8] == b"\x89HDF\r\n\x1a\n" and rng.random() < 0.7:
            with suppress(Exception):  # damaged too much already to be opened
                damage_hdf5(path, rng)
            continue
        elif path.suffix in _TEXTS and rng.random() < 0.85:
            data = damage_text(data, rng)
        elif data[8:10] == b'{"' and rng.random() < 0.6:  # safetensors: a length, then JSON
            size = int.from_bytes(data[:8], "little")
            head = damage_text(data[8 : 8 + size], rng)
            data = len(head).to_bytes(8, "little") + head + data[8 + size :]
        else:
            data = damage_bytes(data, rng)
        path.write_bytes(data)
