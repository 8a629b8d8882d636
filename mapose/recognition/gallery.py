"""A gallery: how named animals look, by which they are recognised in other videos."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, vstack

from mapose.arrays import AnyFloats, Bools, Floats, Ints
from mapose.errors import FormatError, ShapeError
from mapose.reading import explain_damage

#: Name of an animal that is not in the gallery.
UNKNOWN = "unknown"
#: Measured frames that make a piece.
_PIECE = 10


@dataclass(frozen=True)
class Spread:
    """Cosine distances between pieces and means of a gallery.

    Parameters
    ----------
    inner : float
        99 % of the pieces are nearer to the mean of their own animal's other pieces.
    outer : float
        95 % are farther than this from every other animal.
    """

    inner: float
    outer: float

    @property
    def limit(self) -> float:
        """Distance at which a known animal is as likely as a stranger.

        Between `inner` and `outer`, a third of the way on a logarithmic scale: strangers lie
        nearer to a known animal than the known ones to each other, as the network has only
        learned to tell these apart. On drawn mice of distinct coats, filmed again under another
        light (`tests/benchmarks/benchmark_gallery.py`), tracklets of known animals lay at 0.01 to
        0.6 limits, one of 93 at 1.1; strangers at 2.1 to 6.6, one of 51 at 0.7. Hardest are
        strangers that differ by their colour only, a brown one among black ones.
        """
        return max(self.inner ** (2 / 3) * self.outer ** (1 / 3), 1.2 * self.inner)

    @property
    def slope(self) -> float:
        """Nats per factor e of distance, so that 99 % are given to who lies at `inner`."""
        return float(np.clip(np.log(99) / np.log(self.limit / self.inner), 1, 6))


@dataclass(frozen=True, eq=False)
class Gallery:
    """How named animals look.

    Parameters
    ----------
    appearance : Appearance
        Whose embeddings these are.
    pieces : dict of str to float32 (P, D)
        Name to mean embeddings of P stretches of video, unit vectors.
    days : dict of str to tuple of str (P,)
        Name to the recording of each stretch.
    """

    appearance: Any
    pieces: dict[str, AnyFloats] = field(default_factory=dict)
    days: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the animals, in the order in which they came in."""
        return tuple(self.pieces)

    def add(self, name: str, embeddings: AnyFloats, *, day: str = "") -> Gallery:
        """Put in what one animal looks like in a stretch of video.

        Parameters
        ----------
        name : str
            Of the animal; one that is here already gets more pictures.
        embeddings : float, (F, D)
            Unit vectors in time, of one animal alone; NaN = not measured.
        day : str
            Where they come from, for people.

        Returns
        -------
        Gallery
            A new one.

        Raises
        ------
        ShapeError
            If the embeddings are not the network's, or the name cannot be one.
        """
        found = np.asarray(embeddings, np.float32)
        if found.ndim != 2 or found.shape[1] != self.appearance.dimensions:
            raise ShapeError(
                f"gallery: wanted embeddings (F, {self.appearance.dimensions}), came {found.shape}"
            )
        if not name.strip() or name.startswith(UNKNOWN):
            raise ShapeError(f"gallery: an animal cannot be called {name!r}, that means no animal")
        found = found[np.isfinite(found).all(1)]
        parts = np.array_split(found, max(1, round(len(found) / _PIECE))) if len(found) else []
        new = np.array([find_middle(part) for part in parts], np.float32)
        old = self.pieces.get(name, np.empty((0, found.shape[1]), np.float32))
        days = (*self.days.get(name, ()), *[day] * len(new))
        return replace(
            self,
            pieces={**self.pieces, name: np.concatenate([old, new.reshape(-1, old.shape[1])])},
            days={**self.days, name: days},
        )

    def merge(self, other: Gallery) -> Gallery:
        """Put the animals of another gallery of the same network into this one.

        Raises
        ------
        ShapeError
            If the other one was made with another network: its vectors mean something else.
        """
        mine, its = self.appearance.hash, other.appearance.hash
        if mine != its:
            raise ShapeError(
                f"galleries of different networks ({mine}, {its}) cannot be merged: add the "
                "recordings of one to the other with 'mapose gallery add'"
            )
        pieces, days = dict(self.pieces), dict(self.days)
        for name, rows in other.pieces.items():
            pieces[name] = np.concatenate([pieces[name], rows]) if name in pieces else rows
            days[name] = days.get(name, ()) + other.days[name]
        return replace(self, pieces=pieces, days=days)

    def name(
        self, embeddings: AnyFloats, *, present: Bools | None = None
    ) -> tuple[list[str], Floats]:
        """Name tracklets.

        Parameters
        ----------
        embeddings : float, (F, I, D)
            Unit vectors from `mapose.recognition.learning.find_embeddings`; NaN = not measured.
        present : bool, (F, I), optional
            When each tracklet is there; by default where it was measured. Tracklets that are
            there together get different names.

        Returns
        -------
        names : list of str, (I,)
            ``"unknown"`` for a stranger, and for what was never measured.
        probabilities : float64, (I,)
            That this is right; NaN where never measured.
        """
        measured = np.asarray(np.isfinite(embeddings).all(-1))
        there: Bools = measured if present is None else present | measured
        middles = [find_middle(embeddings[m, i]) for i, m in enumerate(measured.T)]
        scores = self.score(np.array(middles).reshape(len(middles), embeddings.shape[-1]))
        scores[~measured.any(0)] = np.r_[np.full(len(self.names), -99.0), 0.0]
        chosen = assign_names(scores, there)
        sure = find_probabilities(scores, chosen, there)
        labels = (*self.names, UNKNOWN)
        return [labels[n] for n in chosen], np.where(measured.any(0), sure, np.nan)

    def score(self, middles: AnyFloats) -> Floats:
        """Score how well each name fits.

        Parameters
        ----------
        middles : float, (N, D)
            Mean unit vectors of tracklets.

        Returns
        -------
        float64, (N, names + 1)
            Log-likelihoods; the last column is that of a stranger.
        """
        known = [find_middle(rows) for rows in self.pieces.values()]
        gap = 1 - middles @ np.array(known).reshape(len(known), middles.shape[1]).T
        # Nobody is nearer than pieces vary; who was never seen is as far as can be.
        gap = np.nan_to_num(np.maximum(gap, 1e-3), nan=2.0)
        scale = self.spread
        fit = scale.slope * np.log(scale.limit / gap)
        return np.asarray(np.column_stack([fit, np.zeros(len(gap))]))

    @cached_property
    def spread(self) -> Spread:
        """How far animals lie from their own mean and from those of others, by their pieces."""
        sums = {n: np.asarray(rows, np.float64).sum(0) for n, rows in self.pieces.items()}
        own, other = [np.empty(0)], [np.empty(0)]
        for name, rows in self.pieces.items():
            # Each piece against the mean of the others of its animal.
            rest = sums[name] - rows
            rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-9)
            if len(rows) > 1:
                own.append(1 - (rest * rows).sum(1))
            rivals = [find_middle(v[None]) for n, v in sums.items() if n != name]
            if rivals and len(rows):
                other.append(1 - (rows @ np.array(rivals).T).max(1))
        mine, theirs = np.concatenate(own), np.concatenate(other)
        inner = float(np.quantile(mine, 0.99)) if len(mine) else 0.05
        outer = float(np.quantile(theirs, 0.05)) if len(theirs) else 1.0
        return Spread(max(inner, 2e-3), max(outer, 2e-3))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save to one safetensors file, with the network in it, whole or not at all."""
        from mapose.recognition.appearance import save_parts

        tensors, description = self.appearance.pack()
        tensors |= {f"pieces.{i}": v for i, v in enumerate(self.pieces.values())}
        animals = [{"name": n, "days": list(self.days[n])} for n in self.names]
        save_parts(path, tensors, {**description, "kind": "gallery", "animals": animals})

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return {
            "animals": [
                {"name": n, "pieces": len(rows), "days": list(dict.fromkeys(self.days[n]))}
                for n, rows in self.pieces.items()
            ],
            "own_distance": self.spread.inner,
            "other_distance": self.spread.outer,
            "limit": self.spread.limit,
        }

    def __str__(self) -> str:
        lines = [
            f"{n:<16} {len(rows):>5} pieces   {', '.join(dict.fromkeys(self.days[n]))}"
            for n, rows in self.pieces.items()
        ]
        far = self.spread
        told = "well told apart" if far.outer > 3 * far.inner else "look alike"
        lines.append(
            f"{len(lines)} animals, {told}: 99 % of pieces within {far.inner:.3f} of the own mean, "
            f"95 % beyond {far.outer:.3f} of others; unknown from {far.limit:.3f}"
        )
        return "\n".join(lines)


def load_gallery(path: str | os.PathLike[str]) -> Gallery:
    """Load what `Gallery.save` wrote.

    Raises
    ------
    FormatError
        If the file is missing, damaged, another kind of file, or from a newer mapose.
    """
    from mapose.recognition.appearance import Appearance, load_parts

    with explain_damage(path):
        tensors, description = load_parts(path, "gallery")
        animals = description["animals"]
        pieces = {str(a["name"]): tensors[f"pieces.{i}"].numpy() for i, a in enumerate(animals)}
        days = {str(a["name"]): tuple(str(day) for day in a["days"]) for a in animals}
        appearance = Appearance.unpack(tensors, description)
        wide = appearance.dimensions
        if any(
            p.ndim != 2 or p.shape[1] != wide or len(p) != len(days[n]) for n, p in pieces.items()
        ):
            raise FormatError(f"{path}: its pieces are not those of its animals and network")
        return Gallery(appearance, pieces, days)


def find_middle(vectors: AnyFloats) -> AnyFloats:
    """Find the mean of unit vectors (N, D) as a unit vector (D,); NaN if there are none."""
    if not len(vectors):
        return np.full(vectors.shape[1], np.nan)
    middle = np.asarray(vectors, np.float64).mean(0)
    return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-9))


def assign_names(scores: AnyFloats, present: Bools) -> Ints:
    """Give every tracklet its likeliest name, each name once at a time.

    Parameters
    ----------
    scores : float64, (I, N + 1)
        Log-likelihood of each name; the last column is for no name.
    present : bool, (F, I)
        When the tracklets are there. Those that are there together get different names; the last
        column may be used as often as need be.

    Returns
    -------
    int64, (I,)
        Column of the best names as a whole: the exact optimum.

    Examples
    --------
    >>> scores = np.array([[0.0, -9, -5], [-1, -9, -5]])
    >>> assign_names(scores, np.array([[True, False], [False, True]])).tolist()
    [0, 0]
    >>> assign_names(scores, np.array([[True, True]])).tolist()
    [0, 2]
    """
    count, names = len(scores), scores.shape[1] - 1
    moments = np.unique(present, axis=0)
    moments = moments[moments.sum(1) > 1]
    if not len(moments) or not names:
        return np.asarray(scores.argmax(1), np.int64)
    one = np.arange(count).repeat(names + 1)
    rules = [csr_array((np.ones(len(one)), (one, np.arange(len(one)))))]
    when, who = np.nonzero(moments)
    for n in range(names):
        entries = np.ones(len(who)), (when, who * (names + 1) + n)
        rules.append(csr_array(entries, shape=(len(moments), len(one))))
    low = np.r_[np.ones(count), np.zeros(names * len(moments))]
    found = milp(
        -scores.ravel(),
        constraints=LinearConstraint(vstack(rules), low, np.ones(len(low))),
        integrality=np.ones(len(one)),
        bounds=Bounds(0, 1),
        options={"time_limit": 20.0},
    )
    if found.x is None:  # pragma: no cover - no name at all is always allowed
        return np.full(count, names)
    return np.asarray(found.x.reshape(count, -1).argmax(1), np.int64)


def find_probabilities(scores: AnyFloats, chosen: Ints, present: Bools) -> Floats:
    """Find how likely each chosen name is, against changing it alone or with its holder.

    Parameters
    ----------
    scores, present
        As for `assign_names`.
    chosen : int64, (I,)
        What `assign_names` chose.

    Returns
    -------
    float64, (I,)
    """
    unknown = scores.shape[1] - 1
    together = present.T.astype(np.float32) @ present > 0
    odds = np.zeros(len(scores))
    for i, own in enumerate(chosen.tolist()):
        gains = scores[i] - scores[i, own]
        for n in set(range(unknown)) - {own}:
            for j in np.flatnonzero(together[i] & (chosen == n)).tolist():
                # Who holds that name takes this one's, if it is one, or none.
                free = not (together[j] & (chosen == own) & (np.arange(len(chosen)) != i)).any()
                swapped = scores[j, own] if own != unknown and free else -np.inf
                gains[n] += max(swapped, scores[j, unknown]) - scores[j, n]
        odds[i] = np.exp(np.delete(gains, own)).sum()
    return np.asarray(1 / (1 + odds))
