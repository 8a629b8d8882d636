"""How animals look: fur, skin, and marks by which they can be told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from mapose.arrays import Singles
from mapose.errors import SettingsError

Colour = tuple[float, float, float]
Appearance = Literal["identical", "similar", "distinct"]

# The fur is a picture in body coordinates: rows from the nose to the base of the tail, columns
# from the right over the back to the left.
_ROWS, _COLUMNS = 128, 64


@dataclass(frozen=True, eq=False)
class Coat:
    """The looks of one animal; colours are RGB, 0 to 255.

    Parameters
    ----------
    fur : float32, (rows, columns, 3)
        From the nose to the tail base, and from the right side over the back to the left.
    skin, ear, eye : (float, float, float)
        Of nose, paws and tail; of the ears; of the eyes.
    gloss : float
        Strength of highlights.
    """

    fur: Singles = field(repr=False)
    skin: Colour = (196.0, 150.0, 140.0)
    ear: Colour = (150.0, 116.0, 108.0)
    eye: Colour = (12.0, 10.0, 10.0)
    gloss: float = 20.0


def make_coats(n: int, appearance: Appearance, rng: np.random.Generator) -> list[Coat]:
    """Make the looks of a group.

    Parameters
    ----------
    n : int
        How many animals.
    appearance : {"identical", "similar", "distinct"}
        Littermates nobody can tell apart; the same strain with small differences (tone, an ear
        punch, a mark on the tail); or different colours and patterns.
    rng : numpy.random.Generator
        Chooses colours and marks.

    Raises
    ------
    SettingsError
        If the word is another.
    """
    makers: dict[str, Callable[..., list[Coat]]] = {
        "identical": _make_identical,
        "similar": _make_similar,
        "distinct": _make_distinct,
    }
    if appearance not in makers:
        raise SettingsError(f"appearance: wanted one of {', '.join(makers)}, came {appearance!r}")
    return makers[appearance](n, rng)


# Name -> back, skin, ear. Tones of real strains under white light.
_STRAINS: dict[str, tuple[Colour, Colour, Colour]] = {
    "black": ((40, 37, 37), (128, 104, 100), (84, 70, 68)),
    "agouti": ((112, 88, 62), (170, 132, 120), (136, 104, 92)),
    "white": ((224, 218, 208), (226, 176, 168), (228, 184, 176)),
    "grey": ((110, 110, 116), (172, 140, 136), (134, 112, 110)),
    "chocolate": ((76, 50, 36), (150, 112, 102), (112, 82, 72)),
    "cream": ((196, 168, 126), (214, 168, 152), (204, 160, 146)),
}


def _make_identical(n: int, rng: np.random.Generator) -> list[Coat]:
    return [_make_plain("black", rng)] * n


def _make_similar(n: int, rng: np.random.Generator) -> list[Coat]:
    coats = []
    marks = rng.permutation(5)
    for i in range(n):
        coat = _make_plain("black", rng, tone=1 + 0.9 * ((i * 0.618) % 1.0))
        fur, skin, mark = coat.fur.copy(), coat.skin, marks[i % 5]
        if mark == 1:
            _paint_patch(fur, (0.33, 0.52), (0.06, 0.20), (150, 140, 130))
        elif mark == 2:
            _paint_patch(fur, (0.78, 0.5), (0.07, 0.25), (140, 130, 122))
        elif mark == 3:
            skin = (1.35 * skin[0], 1.35 * skin[1], 1.35 * skin[2])
        elif mark == 4:
            fur[:, 24:40] *= 0.55
        coats.append(Coat(fur, skin, coat.ear, coat.eye, coat.gloss))
    return coats


def _make_distinct(n: int, rng: np.random.Generator) -> list[Coat]:
    """Take strains and patterns so that the first ten animals all differ."""
    plain = [*_STRAINS]
    looks: list[tuple[str, str]] = [
        ("black", ""),
        ("white", ""),
        ("agouti", ""),
        ("white", "hood"),
        ("black", "belt"),
        ("cream", ""),
        ("grey", "stripe"),
        ("white", "spots"),
        ("chocolate", ""),
        ("cream", "hood"),
    ]
    order = rng.permutation(len(looks)) if n <= len(looks) else np.arange(n) % len(looks)
    coats = []
    for i in range(n):
        strain, pattern = looks[order[i]]
        coat = _make_plain(strain, rng)
        dark = _STRAINS[plain[0] if strain == "white" else "chocolate"][0]
        _paint_pattern(coat.fur, pattern, dark, rng)
        coats.append(coat)
    return coats


def _make_plain(strain: str, rng: np.random.Generator, tone: float = 1.0) -> Coat:
    back, skin, ear = (np.array(c, np.float32) * tone for c in _STRAINS[strain])
    side = np.abs(np.linspace(-1, 1, _COLUMNS, dtype=np.float32))[None, :, None]
    # The flanks are paler than the back, and the muzzle than the shoulders.
    fur = back * (0.94 + 0.22 * side**2) + 6 * side
    fur = np.repeat(fur, _ROWS, axis=0)
    hairs = _make_hairs(rng)
    # Pale fur shows its hairs less.
    dark = float(back.mean()) < 70
    fur *= 1 + (0.13 if dark else 0.10 if back.mean() < 150 else 0.045) * hairs[..., None]
    fur += 2.0 * hairs[..., None]
    return Coat(
        np.clip(fur, 0, 255).astype(np.float32),
        tuple(np.clip(skin, 0, 255).tolist()),
        tuple(np.clip(ear, 0, 255).tolist()),
        gloss=34.0 if dark else 14.0,
    )


def _make_hairs(rng: np.random.Generator) -> Singles:
    """Make streaks along the body, float32 (rows, columns) of unit variance."""
    noise = rng.normal(size=(_ROWS, _COLUMNS)).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.6, sigmaY=2.2)
    coarse = cv2.GaussianBlur(noise, (0, 0), sigmaX=3.0, sigmaY=6.0)
    return np.asarray(fine / fine.std() * 0.85 + coarse / coarse.std() * 0.5, np.float32)


def _paint_patch(fur: Singles, middle: Place, radii: Place, colour: Colour) -> None:
    """Paint an ellipse at (along, across), both 0 to 1, with a soft edge, in place."""
    rows, columns = np.mgrid[0 : fur.shape[0], 0 : fur.shape[1]].astype(np.float32)
    along = (rows / fur.shape[0] - middle[0]) / radii[0]
    across = (columns / fur.shape[1] - middle[1]) / radii[1]
    weight = np.clip(4 * (1.12 - np.hypot(along, across)), 0, 1)[..., None]
    # The hairs show through the paint.
    tint = np.array(colour, np.float32) * (fur.mean(-1, keepdims=True) / fur.mean()) ** 0.4
    fur += weight * (tint - fur)


Place = tuple[float, float]


def _paint_pattern(fur: Singles, pattern: str, dark: Colour, rng: np.random.Generator) -> None:
    if pattern == "hood":
        _paint_patch(fur, (0.12, 0.5), (0.30, 2.0), dark)
        _paint_patch(fur, (0.65, 0.5), (0.35, 0.10), dark)
    elif pattern == "belt":
        _paint_patch(fur, (0.60, 0.5), (0.10, 3.0), (216, 208, 198))
    elif pattern == "stripe":
        _paint_patch(fur, (0.60, 0.5), (0.55, 0.12), dark)
    elif pattern == "spots":
        for _ in range(7):
            middle = (rng.uniform(0.15, 0.95), rng.uniform(0.1, 0.9))
            size = rng.uniform(0.06, 0.12)
            _paint_patch(fur, middle, (size, 1.6 * size), dark)
