"""Score tracks: are the animals found, and is each called the same throughout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Ints, Singles
from mapose.assignment import assign, assign_worth
from mapose.errors import SettingsError, ShapeError
from mapose.medians import MedianFinder
from mapose.metrics.overlap import align_poses, find_marked
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.shelf import Shelf, cut_blocks
from mapose.similarity import DEFAULT_SIGMA, find_areas, find_distances, find_oks

_ALPHAS = np.arange(1, 20) / 20


@dataclass(frozen=True)
class TrackScores:
    """How well tracks follow the true animals. Shares are 0 to 1, 1 is perfect.

    Attributes
    ----------
    idf1, idp, idr : float
        Share of detections that carry the right name when every true animal is given one track
        for the whole recording: F1, of what was found (precision), of what is there (recall).
    mota : float
        1 - (misses + false positives + switches) / true detections; may be negative.
    motp : float
        Mean similarity of the matched pairs.
    hota, deta, assa : float
        Higher-order accuracy, its detection and its association part, mean over similarity
        thresholds 0.05 to 0.95.
    switches : int
        How often a true animal is taken over by another track.
    switches_per_hour : float
        The same per hour of an animal in view; NaN where the rate is not known.
    fragmentations : int
        How often a true animal is lost and found again.
    misses, false_positives : int
        True detections without a partner, found ones without a partner.
    detections : int
        True detections: animals times frames in view.
    frames : int
        Frames compared.
    """

    idf1: float
    idp: float
    idr: float
    mota: float
    motp: float
    hota: float
    deta: float
    assa: float
    switches: int
    switches_per_hour: float
    fragmentations: int
    misses: int
    false_positives: int
    detections: int
    frames: int

    def to_dict(self) -> dict[str, Any]:
        """Make a plain dictionary, ready for JSON; NaN becomes None."""
        return {k: None if v != v else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        rows = [
            ("IDF1", self.idf1, f"precision {self.idp:.3f}, recall {self.idr:.3f}"),
            ("HOTA", self.hota, f"detection {self.deta:.3f}, association {self.assa:.3f}"),
            ("MOTA", self.mota, f"{self.misses} misses, {self.false_positives} false positives"),
        ]
        lines = [f"{name:10}{value:8.3f}  {note}" for name, value, note in rows]
        per_hour = self.switches_per_hour
        note = "" if np.isnan(per_hour) else f"  {per_hour:.1f} per animal-hour"
        lines.append(f"{'switches':10}{self.switches:8d}{note}")
        lines.append(f"{'lost':10}{self.fragmentations:8d}  times, then found again")
        lines.append(f"{self.detections} true detections in {self.frames} frames")
        return "\n".join(lines)


def track_scores(
    truth: Poses,
    found: Poses,
    *,
    threshold: float = 0.5,
    reach: float | None = None,
    sigma: float | AnyFloats = DEFAULT_SIGMA,
) -> TrackScores:
    """Score tracks against true ones.

    Parameters
    ----------
    truth, found : Poses
        With named individuals; compared on the frames and keypoints that both have.
    threshold : float
        Similarity from which a found animal may be a true one.
    reach : float, optional
        Compare by mean keypoint distance, in the unit of the poses, instead of by object keypoint
        similarity: the similarity is 1 - distance / (2 ``reach``), so that a threshold of 0.5
        means ``reach``. Needed where poses have a single keypoint.
    sigma : float or (K,)
        Spread per keypoint for the object keypoint similarity.

    Returns
    -------
    TrackScores

    Raises
    ------
    ShapeError
        If either has no names, nothing is in common, or a single keypoint comes without
        ``reach``.
    SettingsError
        If ``threshold`` is not in 0 to 1 (0 excluded), or ``reach`` is not above 0.

    References
    ----------
    Bernardin, Stiefelhagen 2008 (CLEAR MOT); Ristani et al. 2016 (IDF1); Luiten et al. 2021,
    HOTA (IJCV 129:548). Matching follows py-motmetrics (CLEAR) and TrackEval (HOTA).
    """
    truth, found = align_tracks(truth, found, threshold=threshold, reach=reach)
    similarity = find_similarity(truth.points, found.points, reach=reach, sigma=sigma)
    with Shelf() as shelf:
        meter = TrackMeter(similarity.shape, shelf=shelf, threshold=threshold)
        meter.add(similarity, truth.points, found.points)
        return meter.find(rate=truth.rate)


class TrackMeter:
    """Measures as `track_scores` does, a part at a time.

    Parameters
    ----------
    shape : (int, int, int)
        Frames, true animals, found ones.
    shelf : Shelf
        Where similarities wait until all are known.
    threshold
        As in `track_scores`.
    """

    def __init__(self, shape: tuple[int, ...], *, shelf: Shelf, threshold: float = 0.5) -> None:
        frames, i, j = shape
        self._threshold = threshold
        self._similarity = shelf.make(frames, (i, j), np.float32)
        self._blocks = list(cut_blocks(frames, 8 * i * j))
        self._true, self._seen = np.zeros(i, np.int64), np.zeros(j, np.int64)
        self._together = np.zeros((i, j), np.int64)
        self._alike = np.zeros((i, j))
        self._clear, self._frames = _Clear(i), 0  # frames that came

    def add(self, similarity: AnyFloats, truth: AnyFloats, found: AnyFloats) -> None:
        """Take in the next frames: similarity (F, I, J) of poses (F, I, K, d) and (F, J, K, d)."""
        for rows in cut_blocks(len(similarity), 8 * similarity[:1].size):
            alike = similarity[rows]
            there, seen = (np.asarray(find_marked(p[rows]).any(-1)) for p in (truth, found))
            self._similarity[self._frames : self._frames + len(alike)] = alike
            self._frames += len(alike)
            self._true += there.sum(0)
            self._seen += seen.sum(0)
            self._together += (alike >= self._threshold).sum(0)
            part = alike.astype(np.float64)
            either = part.sum(1, keepdims=True) + part.sum(2, keepdims=True) - part
            share = np.divide(part, either, where=either > 1e-15, out=np.zeros_like(part))
            self._alike += share.sum(0)
            self._clear.add(alike, there, threshold=self._threshold)

    def find(self, *, rate: float | None) -> TrackScores:
        """Sum up what came, of so many frames per second."""
        n, found = int(self._true.sum()), int(self._seen.sum())
        clear = self._clear
        misses, false = n - clear.hits, found - clear.hits
        return TrackScores(
            **_score_identity(self._together, n, found),
            **self._score_hota(n, found),
            motp=clear.similarity / clear.hits if clear.hits else np.nan,
            mota=1 - (misses + false + clear.switches) / n if n else np.nan,
            switches=clear.switches,
            switches_per_hour=clear.switches / n * rate * 3600 if rate and n else np.nan,
            fragmentations=clear.fragmentations,
            misses=misses,
            false_positives=false,
            detections=n,
            frames=self._frames,
        )

    def _score_hota(self, n: int, found: int) -> dict[str, float]:
        if not n or not found:
            empty = np.nan if not n and not found else 0.0
            return {"hota": empty, "deta": empty, "assa": empty}
        alike, both = self._alike, self._true[:, None] + self._seen[None]
        total = both - alike
        alignment = np.divide(alike, total, where=total > 0, out=np.zeros_like(alike))
        counts = np.zeros((len(_ALPHAS), *alike.shape))
        for rows in self._blocks:
            similarity = self._similarity[rows]
            match = _match_best(similarity, alignment)
            frames, who = np.nonzero(match >= 0)
            partner = match[frames, who]
            reached = similarity[frames, who, partner]
            for a, alpha in enumerate(_ALPHAS):
                hit = reached >= alpha
                pair = who[hit] * alike.shape[1] + partner[hit]
                counts[a] += np.bincount(pair, minlength=alike.size).reshape(alike.shape)
        hits = counts.sum((1, 2))
        share = counts / np.maximum(both - counts, 1)
        deta = hits / (n + found - hits)
        assa = (counts * share).sum((1, 2)) / np.maximum(hits, 1)
        return {
            "hota": float(np.sqrt(deta * assa).mean()),
            "deta": float(deta.mean()),
            "assa": float(assa.mean()),
        }


def align_tracks(
    truth: Poses, found: Poses, *, threshold: float, reach: float | None
) -> tuple[Poses, Poses]:
    """Check what `track_scores` is given, and keep the frames and keypoints that both have.

    Raises
    ------
    ShapeError, SettingsError
        As in `track_scores`.
    """
    if not 0 < threshold <= 1:
        raise SettingsError(f"threshold: wanted a similarity above 0, up to 1, came {threshold}")
    if reach is not None and not reach > 0:
        raise SettingsError(f"reach: wanted a distance above 0, came {reach}")
    truth, found = align_poses(truth, found)
    check_tracks(truth, found, reach=reach)
    return truth, found


def check_tracks(truth: Poses | Parts, found: Poses | Parts, *, reach: float | None = None) -> None:
    """Check that poses that were aligned have names, and a size to measure by.

    Raises
    ------
    ShapeError
        As in `track_scores`.
    """
    for poses, name in ((truth, "truth"), (found, "found")):
        if poses.individuals is None:
            raise ShapeError(f"{name}: wanted named individuals, came unordered slots: track them")
    if reach is None and len(truth.skeleton.keypoints) < 2:
        raise ShapeError("a single keypoint has no size to measure by: give reach, in px")


def find_usual_areas(read: Callable[[], Iterable[AnyFloats]]) -> Floats:
    """Find the usual size of each animal, by which a lone keypoint, which has no box, is measured.

    Parameters
    ----------
    read : function
        Gives the truth part after part, float (F, I, K, d), NaN = missing; called up to three
        times.

    Returns
    -------
    float64, (I,)
        Median of the areas, px²; 1 where no keypoint is alone or none has company.
    """
    animals, lone = 0, False
    for points in read():
        animals = points.shape[1]
        lone = lone or bool((find_marked(points).sum(-1) == 1).any())
    finders = [MedianFinder() for _ in range(animals)]
    for take in (MedianFinder.count, MedianFinder.sift) if lone else ():
        for points in read():
            for finder, areas in zip(finders, find_areas(points).T, strict=True):
                take(finder, areas[np.isfinite(areas)])
    return np.array([finder.find() if finder.total else 1.0 for finder in finders])


def find_similarity(
    truth: AnyFloats,
    found: AnyFloats,
    *,
    reach: float | None = None,
    sigma: float | AnyFloats = DEFAULT_SIGMA,
    usual: Floats | None = None,
) -> Singles:
    """Find the similarity of every true with every found pose, frame by frame.

    Parameters
    ----------
    truth, found : float, (F, I, K, d) and (F, J, K, d)
        NaN = missing.
    reach, sigma
        As in `track_scores`.
    usual : float64, (I,), optional
        As `find_usual_areas` gives it, of these frames by default.

    Returns
    -------
    float32, (F, I, J)
        0 to 1; 0 where either is absent.
    """
    frames, i, k, d = truth.shape
    result = np.zeros((frames, i, found.shape[1]), np.float32)
    blocks = list(cut_blocks(frames, i * found.shape[1] * k * d))
    if reach is None and usual is None:
        usual = find_usual_areas(lambda: (truth[rows] for rows in blocks))
    for rows in blocks:
        a, b = truth[rows], found[rows]
        if reach is None:
            assert usual is not None
            areas = find_areas(a)
            areas = np.where(np.isfinite(areas), areas, usual)
            result[rows] = np.nan_to_num(find_oks(a, b, sigma=sigma, areas=areas))
            continue
        distance = find_distances(a, b)
        both = np.isfinite(distance)
        mean = np.where(both, distance, 0).sum(-1) / np.maximum(both.sum(-1), 1)
        result[rows] = np.where(both.any(-1), np.clip(1 - mean / (2 * reach), 0, 1), 0)
    return result


class _Clear:
    """Counts matches, switches and losses from part to part, and adds up the similarity."""

    def __init__(self, animals: int) -> None:
        self.hits = self.switches = self.fragmentations = 0
        self.similarity = 0.0
        # Whom each animal was matched with last, -1 = nobody yet; whether in its last frame.
        self._partner = np.full(animals, -1)
        self._held = np.zeros(animals, bool)

    def add(self, similarity: AnyFloats, there: Bools, *, threshold: float) -> None:
        """Take in the next frames: similarity (F, I, J), and when animals are there (F, I)."""
        match = _match_steadily(similarity, threshold, self._partner)
        hit = match >= 0
        for i in range(match.shape[1]):
            partners = match[hit[:, i], i]
            known = self._partner[i] >= 0
            if known:
                partners = np.append(self._partner[i], partners)
            self.switches += int((np.diff(partners) != 0).sum())
            in_view = np.append(self._held[i], hit[there[:, i], i])
            found_again = int((in_view[1:] & ~in_view[:-1]).sum())
            self.fragmentations += found_again - (not known and len(partners) > 0)
            self._held[i] = in_view[-1]
            self._partner[i] = partners[-1] if len(partners) else -1
        frames, who = np.nonzero(hit)
        matched = similarity[frames, who, match[frames, who]]
        self.hits += len(matched)
        self.similarity += float(matched.sum(dtype=np.float64))


def _match_steadily(similarity: AnyFloats, threshold: float, former: Ints) -> Ints:
    """Match found animals with true ones (F, I), holding on to former partners; -1 = none.

    ``former``, int64 (I,), are those of before the first frame.
    """
    if not similarity.size:
        return np.full(similarity.shape[:2], -1)
    allowed = similarity >= threshold
    clear = (allowed.sum(2) <= 1).all(1) & (allowed.sum(1) <= 1).all(1)
    match = np.where(allowed.any(2) & clear[:, None], allowed.argmax(2), -1)
    # Frame of each animal's last match so far; only the unclear frames need it.
    last = np.where(match >= 0, np.arange(len(match))[:, None], -1)
    last = np.maximum.accumulate(last, axis=0)
    recent = np.full(match.shape[1], -1)  # last unclear frame in which each one was matched
    for f in np.flatnonzero(~clear):
        frame = np.maximum(last[f], recent)
        partner = np.where(frame >= 0, match[frame, np.arange(len(frame))], former)
        match[f] = _match_frame(similarity[f], allowed[f].copy(), partner)
        recent = np.where(match[f] >= 0, f, recent)
    return match


def _match_frame(similarity: AnyFloats, allowed: Bools, partner: Ints) -> Ints:
    match = np.full(len(partner), -1)
    for i in np.flatnonzero(partner >= 0):
        if allowed[i, partner[i]]:
            match[i] = partner[i]
            allowed[i] = allowed[:, partner[i]] = False
    rows, columns = assign(np.where(allowed, 1 - similarity, np.inf))
    match[rows] = columns
    return match


def _score_identity(together: Ints, there: int, seen: int) -> dict[str, float]:
    """Give every true animal the one track that it shares most frames with."""
    hits = int(together[assign_worth(together)].sum())
    return {
        "idf1": 2 * hits / (there + seen) if there + seen else np.nan,
        "idp": hits / seen if seen else np.nan,
        "idr": hits / there if there else np.nan,
    }


def _match_best(similarity: AnyFloats, alignment: AnyFloats) -> Ints:
    """Match each frame at the greatest sum of similarity times alignment, (F, I); -1 = none."""
    score = similarity * alignment
    best = score.argmax(2)
    some = score.max(2) > 0
    # Where all have different favourites, nobody has to give way: no solver is needed.
    chosen = np.where(some, best, -1 - np.arange(best.shape[1]))
    ordered = np.sort(chosen, axis=1)
    match = np.where(some, best, -1)
    for f in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(1)):
        who, partner = assign_worth(score[f])
        match[f] = -1
        match[f, who] = partner
    return match
