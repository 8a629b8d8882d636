"""Score names: how long animals bear their own one, and whether the probabilities are true."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats
from mapose.assignment import assign_worth
from mapose.metrics.tracks import align_tracks, find_similarity
from mapose.poses import Poses
from mapose.similarity import DEFAULT_SIGMA


@dataclass(frozen=True)
class Tenth:
    """Moments whose name was given a probability in one tenth of the scale.

    Attributes
    ----------
    low : float
        Where the tenth begins; it ends below ``low`` + 0.1, the last one at 1.
    count : int
        Moments: animals times frames.
    stated : float
        Mean probability that was given; NaN without moments.
    right : float
        Share of moments in which the name was right; NaN without moments.
    """

    low: float
    count: int
    stated: float
    right: float


@dataclass(frozen=True)
class NameScores:
    """How well names hold. Shares are 0 to 1.

    Attributes
    ----------
    named : float
        Of the time in which true animals are found, the share in which each is found under its
        own name. Every animal's own name is the one that it bears most, one to one.
    tenths : tuple of Tenth
        The stated probabilities against what came of them; empty where none were stated.
    calibration_error : float
        Expected calibration error: mean difference of the two, weighted by moments; NaN where
        no probability was stated.
    """

    named: float
    tenths: tuple[Tenth, ...]
    calibration_error: float

    def to_dict(self) -> dict[str, Any]:
        """Make a plain dictionary, ready for JSON; NaN becomes None."""
        record = asdict(self)
        record["tenths"] = [_blank(asdict(tenth)) for tenth in self.tenths]
        return _blank(record)

    def __str__(self) -> str:
        lines = [f"{'named':10}{self.named:8.3f}  of the time an animal is found, its own name"]
        if self.tenths:
            error = self.calibration_error
            lines.append(f"{'calibrated':10}{error:8.3f}  mean error of the probability")
            lines.append(f"{'':12}{'stated':>8}{'right':>8}{'moments':>10}")
            for tenth in self.tenths:
                if tenth.count:
                    range_ = f"{tenth.low:.1f}-{tenth.low + 0.1:.1f}"
                    lines.append(
                        f"{range_:>12}{tenth.stated:8.3f}{tenth.right:8.3f}{tenth.count:10d}"
                    )
        return "\n".join(lines)


def name_scores(
    truth: Poses,
    found: Poses,
    *,
    threshold: float = 0.5,
    reach: float | None = None,
    sigma: float | AnyFloats = DEFAULT_SIGMA,
) -> NameScores:
    """Score the names that animals bear, and the probabilities that came with them.

    What lies on no true animal has no right or wrong name and does not count: `track_scores`
    counts false positives.

    Parameters
    ----------
    truth, found : Poses
        With named individuals; `Poses.identity` of the result is what is judged.
    threshold, reach, sigma
        As in `track_scores`.

    Returns
    -------
    NameScores

    Raises
    ------
    ShapeError, SettingsError
        As in `track_scores`.

    References
    ----------
    Naeini, Cooper, Hauskrecht 2015 (AAAI): expected calibration error, here in tenths.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> truth = Poses(np.ones((4, 1, 1, 3)), Skeleton(["body"]), ["x"])
    >>> sure = Poses(truth.array, truth.skeleton, ["a"], identity=np.full((4, 1), 0.9))
    >>> scores = name_scores(truth, sure, reach=5)
    >>> scores.named, round(scores.calibration_error, 3)
    (1.0, 0.1)
    """
    truth, found = align_tracks(truth, found, threshold=threshold, reach=reach)
    similarity = find_similarity(truth.points, found.points, reach=reach, sigma=sigma)
    meter = NameMeter(*similarity.shape[1:], threshold=threshold)
    meter.add(similarity, found.identity)
    return meter.find()


class NameMeter:
    """Measures as `name_scores` does, a part at a time.

    Parameters
    ----------
    animals, rows : int
        True animals and found ones.
    threshold
        As in `track_scores`.
    """

    def __init__(self, animals: int, rows: int, *, threshold: float = 0.5) -> None:
        self._threshold = threshold
        self._together, self._there = np.zeros((animals, rows), np.int64), 0
        # Of the stated probabilities in each tenth: how many, their sum, and how many found ones
        # lay on each animal.
        self._count, self._stated = np.zeros(10, np.int64), np.zeros(10)
        self._near = np.zeros((10, animals, rows), np.int64)

    def add(self, similarity: AnyFloats, identity: AnyFloats | None) -> None:
        """Take in some frames: similarity (F, I, J), and `Poses.identity` (F, J) of the result."""
        near = similarity >= self._threshold
        self._together += near.sum(0)
        self._there += int(near.any(2).sum())
        if identity is None:
            return
        frame, row = np.nonzero(near.any(1) & np.isfinite(identity))
        stated = identity[frame, row]
        tenth = np.clip((stated * 10).astype(np.int64), 0, 9)
        self._count += np.bincount(tenth, minlength=10)
        self._stated += np.bincount(tenth, weights=stated, minlength=10)
        rows = near.shape[2]
        for animal, there in enumerate(near.swapaxes(0, 1)):
            lay = np.bincount((tenth * rows + row)[there[frame, row]], minlength=10 * rows)
            self._near[:, animal] += lay.reshape(10, rows)

    def find(self) -> NameScores:
        """Sum up what came."""
        own = assign_worth(self._together)
        right = self._near[:, *own].sum(1)
        count = np.maximum(self._count, 1)
        stated, share = (
            np.where(self._count > 0, sums / count, np.nan) for sums in (self._stated, right)
        )
        tenths = tuple(
            Tenth(k / 10, int(self._count[k]), float(stated[k]), float(share[k])) for k in range(10)
        )
        total = int(self._count.sum())
        wrong = sum(
            tenth.count * abs(tenth.stated - tenth.right) for tenth in tenths if tenth.count
        )
        return NameScores(
            named=int(self._together[own].sum()) / self._there if self._there else np.nan,
            tenths=tenths if total else (),
            calibration_error=wrong / total if total else np.nan,
        )


def find_lasting_swaps(
    truth: Poses,
    found: Poses,
    *,
    least: int = 10,
    threshold: float = 0.5,
    reach: float | None = None,
    sigma: float | AnyFloats = DEFAULT_SIGMA,
) -> list[tuple[int, int, tuple[str, str]]]:
    """Find when a true animal went over from one name to another and stayed with it.

    Parameters
    ----------
    truth, found : Poses
        With named individuals.
    least : int
        Frames that a name is borne before it counts: shorter ones are doubts of a moment.
    threshold, reach, sigma
        As in `track_scores`.

    Returns
    -------
    list of (int, int, (str, str))
        Last frame under the old name, first frame under the new one, and the two names in the
        order of the result; a swap of two animals, which both tell of, is one entry.

    Raises
    ------
    ShapeError, SettingsError
        As in `track_scores`.
    """
    truth, found = align_tracks(truth, found, threshold=threshold, reach=reach)
    near = find_similarity(truth.points, found.points, reach=reach, sigma=sigma)
    swaps: list[tuple[int, int, tuple[int, int]]] = []
    for animal in range(near.shape[1]):
        frame = np.flatnonzero(near[:, animal].max(-1) >= threshold)
        row = near[frame, animal].argmax(-1)
        begin = np.flatnonzero(np.diff(row, prepend=-1))
        length = np.diff(np.append(begin, len(row)))
        begin, last = begin[length >= least], (begin + length - 1)[length >= least]
        for a, b in zip(last[:-1], begin[1:], strict=True):
            if row[a] != row[b]:
                first, then = truth.frames[frame[[a, b]]].tolist()
                low, high = sorted((int(row[a]), int(row[b])))
                swaps.append((first, then, (low, high)))
    kept: list[tuple[int, int, tuple[int, int]]] = []
    for swap in sorted(swaps):
        if not any(pair == swap[2] and then >= swap[0] - 15 for _, then, pair in kept):
            kept.append(swap)
    return [(a, b, (found.names[i], found.names[j])) for a, b, (i, j) in kept]


def _blank(record: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in record.items()}
