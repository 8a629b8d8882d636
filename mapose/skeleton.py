"""The animal's body plan: keypoints, edges between them, left/right pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapose.arrays import Ints
from mapose.errors import ShapeError, suggest_name

Pair = tuple[str, str]


#: The individual that has the keypoints which belong to no animal.
LANDMARKS = "landmarks"


@dataclass(frozen=True)
class Skeleton:
    """Keypoints of one kind of animal, and how they hang together.

    Parameters
    ----------
    keypoints : sequence of str
        Names, unique, in channel order; blanks around them are cut off.
    edges : sequence of pairs of str, optional
        Limbs. Their order is the order of the affinity channels.
    mirror : sequence of pairs of str, optional
        (left, right) pairs that change places when the image is flipped.
    landmarks : sequence of str, optional
        Those of the keypoints that belong to no animal, such as the corners of an arena. In labels
        and results the individual `LANDMARKS` has them.

    Raises
    ------
    ShapeError
        If a name is repeated, empty or unknown, or an edge joins a keypoint to itself or an animal
        to a landmark.

    Examples
    --------
    >>> mouse = Skeleton(["snout", "earL", "earR"], [("snout", "earL")], [("earL", "earR")])
    >>> mouse.index("earR")
    2
    >>> mouse.flip_order.tolist()
    [0, 2, 1]
    """

    keypoints: tuple[str, ...]
    edges: tuple[Pair, ...] = ()
    mirror: tuple[Pair, ...] = ()
    landmarks: tuple[str, ...] = ()

    def __init__(
        self,
        keypoints: Iterable[str],
        edges: Iterable[Sequence[str]] = (),
        mirror: Iterable[Sequence[str]] = (),
        *,
        landmarks: Iterable[str] = (),
    ) -> None:
        for what, given in (("keypoints", keypoints), ("landmarks", landmarks)):
            if isinstance(given, str):
                raise ShapeError(f"{what}: wanted a list of names, came the string {given!r}")
        object.__setattr__(self, "keypoints", tuple(str(k).strip() for k in keypoints))
        object.__setattr__(self, "edges", tuple(_pair(e, "edge") for e in edges))
        object.__setattr__(self, "mirror", tuple(_pair(m, "mirror pair") for m in mirror))
        object.__setattr__(self, "landmarks", tuple(str(m).strip() for m in landmarks))
        self._check()

    def _check(self) -> None:
        names = self.keypoints
        if not names:
            raise ShapeError("a skeleton needs at least one keypoint, came none")
        if any(not n.strip() for n in names):
            raise ShapeError(f"keypoints: wanted non-empty names, came {list(names)}")
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ShapeError(f"keypoints: names must differ, repeated: {', '.join(repeated)}")
        for a, b in self.edges + self.mirror:
            self.index(a)
            self.index(b)
            if a == b:
                raise ShapeError(f"keypoint {a!r} is paired with itself: name two keypoints")
        for name in self.landmarks:
            self.index(name)
        for a, b in self.edges + self.mirror:
            if (a in self.landmarks) != (b in self.landmarks):
                raise ShapeError(f"{a!r} and {b!r} are paired, but one of them is a landmark")
        if len({frozenset(e) for e in self.edges}) < len(self.edges):
            raise ShapeError("edges: the same two keypoints are joined twice")
        paired = [n for m in self.mirror for n in m]
        if len(set(paired)) < len(paired):
            raise ShapeError("mirror: a keypoint can have one partner only")

    def index(self, keypoint: str) -> int:
        """Find the channel of a keypoint by name.

        Raises
        ------
        ShapeError
            If there is none of this name; the nearest one is suggested.
        """
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            hint = suggest_name(keypoint, self.keypoints)
            raise ShapeError(f"no keypoint {keypoint!r} in this skeleton: {hint}") from None

    @property
    def mirror_index(self) -> Ints:
        """Channels of left and right keypoints, int64 (M, 2)."""
        pairs = [(self.index(a), self.index(b)) for a, b in self.mirror]
        return np.array(pairs, np.int64).reshape(-1, 2)

    @property
    def edge_index(self) -> Ints:
        """Edges as keypoint channels, int64 (E, 2)."""
        pairs = [(self.index(a), self.index(b)) for a, b in self.edges]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    @property
    def landmark_index(self) -> Ints:
        """Channels of the landmarks, int64 (L,)."""
        return np.array([self.index(name) for name in self.landmarks], dtype=np.int64)

    @property
    def flip_order(self) -> Ints:
        """Channel that each keypoint takes in a mirrored image, int64 (K,); an involution."""
        order = np.arange(len(self.keypoints))
        for a, b in self.mirror:
            i, j = self.index(a), self.index(b)
            order[i], order[j] = j, i
        return order

    def take(self, channels: npt.NDArray[np.integer]) -> Skeleton:
        """Pick keypoints by channel; edges and pairs that lost one are dropped."""
        kept = [self.keypoints[k] for k in channels]
        return Skeleton(
            kept,
            [e for e in self.edges if set(e) <= set(kept)],
            [m for m in self.mirror if set(m) <= set(kept)],
            landmarks=[name for name in self.landmarks if name in kept],
        )

    def renamed(self, names: dict[str, str]) -> Skeleton:
        """Make a skeleton with some keypoints called otherwise.

        Parameters
        ----------
        names : dict of str to str
            Old name to new name.

        Raises
        ------
        ShapeError
            If an old name is unknown or two keypoints would share a name.
        """
        for old in names:
            self.index(old)
        new = {k: names.get(k, k) for k in self.keypoints}
        return Skeleton(
            new.values(),
            [(new[a], new[b]) for a, b in self.edges],
            [(new[a], new[b]) for a, b in self.mirror],
            landmarks=[new[name] for name in self.landmarks],
        )

    def to_dict(self) -> dict[str, list[str] | list[list[str]]]:
        """Make plain lists, ready for YAML or JSON; ``landmarks`` only where there are some."""
        plain: dict[str, list[str] | list[list[str]]] = {
            "keypoints": list(self.keypoints),
            "edges": [list(e) for e in self.edges],
            "mirror": [list(m) for m in self.mirror],
        }
        return {**plain, "landmarks": list(self.landmarks)} if self.landmarks else plain


#: Words for the sides, as users of several languages name them; whichever of them stands first.
_SIDES = (
    *(("left", "right"), ("links", "rechts"), ("linke", "rechte"), ("gauche", "droite")),
    *(("gauche", "droit"), ("izquierd", "derech"), ("sinistr", "destr"), ("esquerd", "direit")),
)
_LETTERS = (("L", "R"), ("l", "r"))


def find_mirror(keypoints: Sequence[str]) -> list[Pair]:
    """Guess left/right pairs from keypoint names.

    A pair is two names that become equal when *left* is replaced by *right* (or so in other
    languages), or an ``L`` that stands alone at the start or end of a word (``wingL``, ``Ear_L``,
    ``L_ear``, ``forelegL4``) by ``R``. A name with more than one candidate partner is left alone.

    Examples
    --------
    >>> find_mirror(["head", "wingL", "wingR", "leftear", "rightear"])
    [('wingL', 'wingR'), ('leftear', 'rightear')]
    """
    known = set(keypoints)
    pairs: list[Pair] = []
    for name in keypoints:
        partners = {p for p in _mirrored_names(name) if p in known and p != name}
        if len(partners) == 1:
            pairs.append((name, partners.pop()))
    taken = [n for p in pairs for n in p]
    return [p for p in pairs if taken.count(p[0]) == 1 and taken.count(p[1]) == 1]


def _mirrored_names(name: str) -> set[str]:
    found = set()
    for left, right in _SIDES:
        for case in (str, str.capitalize, str.upper):
            found.add(name.replace(case(left), case(right), 1))
    for left, right in _LETTERS:
        for i, char in enumerate(name):
            if char == left and _stands_alone(name, i):
                found.add(name[:i] + right + name[i + 1 :])
    return found


def _stands_alone(name: str, i: int) -> bool:
    """Tell whether the letter at ``i`` is a side marker, not part of a word."""
    before, after = name[i - 1 : i], name[i + 1 : i + 2]
    ends = not after or not after.isalpha()
    if not before or not before.isalpha():
        return ends or (name[i].isupper() and after.isupper())
    return ends and name[i].isupper() and before.islower()


def _pair(value: Sequence[str], what: str) -> Pair:
    if isinstance(value, str) or len(value) != 2:
        raise ShapeError(f"{what}: wanted two keypoint names, came {value!r}")
    return (str(value[0]).strip(), str(value[1]).strip())
