"""Score tracks: are the animals found, and is each called the same throughout."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Bools, Ints, Singles
from mapose.assignment import assign, assign_worth
from mapose.errors import SettingsError, ShapeError
from mapose.metrics.overlap import align_poses, cut_blocks, find_marked
from mapose.poses import Poses
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
    there = np.asarray(find_marked(truth.points).any(-1))
    seen = np.asarray(find_marked(found.points).any(-1))
    clear, motp = _score_clear(similarity, there, seen, threshold)
    n = int(there.sum())
    switches = clear["switches"]
    scores: dict[str, Any] = {
        **_score_identity(similarity >= threshold, n, int(seen.sum())),
        **_score_hota(similarity, there, seen),
        **clear,
    }
    return TrackScores(
        **scores,
        motp=motp,
        mota=1 - (clear["misses"] + clear["false_positives"] + switches) / n if n else np.nan,
        switches_per_hour=switches / n * truth.rate * 3600 if truth.rate and n else np.nan,
        detections=n,
        frames=len(truth),
    )


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
    for poses, name in ((truth, "truth"), (found, "found")):
        if poses.individuals is None:
            raise ShapeError(f"{name}: wanted named individuals, came unordered slots: track them")
    truth, found = align_poses(truth, found)
    if reach is None and truth.array.shape[2] < 2:
        raise ShapeError("a single keypoint has no size to measure by: give reach, in px")
    return truth, found


def find_similarity(
    truth: AnyFloats,
    found: AnyFloats,
    *,
    reach: float | None = None,
    sigma: float | AnyFloats = DEFAULT_SIGMA,
) -> Singles:
    """Find the similarity of every true with every found pose, frame by frame.

    Parameters
    ----------
    truth, found : float, (F, I, K, d) and (F, J, K, d)
        NaN = missing.
    reach, sigma
        As in `track_scores`.

    Returns
    -------
    float32, (F, I, J)
        0 to 1; 0 where either is absent.
    """
    frames, i, k, d = truth.shape
    result = np.zeros((frames, i, found.shape[1]), np.float32)
    blocks = list(cut_blocks(frames, i * found.shape[1] * k * d))
    areas = np.concatenate([find_areas(truth[rows]) for rows in blocks] or [np.empty((0, i))])
    # A lone keypoint has no box: it is measured by the animal's usual size.
    for n in range(i):
        known = np.isfinite(areas[:, n])
        areas[~known, n] = np.median(areas[known, n]) if known.any() else 1.0
    for rows in blocks:
        a, b = truth[rows], found[rows]
        if reach is None:
            result[rows] = np.nan_to_num(find_oks(a, b, sigma=sigma, areas=areas[rows]))
            continue
        distance = find_distances(a, b)
        both = np.isfinite(distance)
        mean = np.where(both, distance, 0).sum(-1) / np.maximum(both.sum(-1), 1)
        result[rows] = np.where(both.any(-1), np.clip(1 - mean / (2 * reach), 0, 1), 0)
    return result


def _score_clear(
    similarity: AnyFloats, there: Bools, seen: Bools, threshold: float
) -> tuple[dict[str, int], float]:
    """Count misses, false positives, switches and fragmentations, and average the similarity."""
    match = _match_steadily(similarity, threshold)
    hit = match >= 0
    switches = lost = 0
    for i in range(match.shape[1]):
        partners = match[hit[:, i], i]
        switches += int((np.diff(partners) != 0).sum())
        in_view = hit[there[:, i], i]
        if in_view.any():
            # From the first to the last hit, every run of misses is one loss.
            in_view = np.trim_zeros(in_view.astype(np.int8))
            lost += int((np.diff(in_view) < 0).sum())
    frames, who = np.nonzero(hit)
    matched = similarity[frames, who, match[frames, who]]
    counts = {
        "switches": switches,
        "fragmentations": lost,
        "misses": int(there.sum() - hit.sum()),
        "false_positives": int(seen.sum() - hit.sum()),
    }
    return counts, float(matched.mean(dtype=np.float64)) if len(matched) else np.nan


def _match_steadily(similarity: AnyFloats, threshold: float) -> Ints:
    """Match found animals with true ones (F, I), holding on to former partners; -1 = none."""
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
        partner = np.where(frame >= 0, match[frame, np.arange(len(frame))], -1)
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


def _score_identity(allowed: Bools, there: int, seen: int) -> dict[str, float]:
    """Give every true animal the one track that it shares most frames with."""
    together = allowed.sum(0)
    hits = int(together[assign_worth(together)].sum())
    return {
        "idf1": 2 * hits / (there + seen) if there + seen else np.nan,
        "idp": hits / seen if seen else np.nan,
        "idr": hits / there if there else np.nan,
    }


def _score_hota(similarity: AnyFloats, there: Bools, seen: Bools) -> dict[str, float]:
    if not there.any() or not seen.any():
        empty = np.nan if not there.any() and not seen.any() else 0.0
        return {"hota": empty, "deta": empty, "assa": empty}
    n_true, n_found = there.sum(0)[:, None], seen.sum(0)[None]
    alike = np.zeros(similarity.shape[1:])
    for rows in cut_blocks(len(similarity), 8 * alike.size):
        part = similarity[rows].astype(np.float64)
        either = part.sum(1, keepdims=True) + part.sum(2, keepdims=True) - part
        alike += np.divide(part, either, where=either > 1e-15, out=np.zeros_like(part)).sum(0)
    total = n_true + n_found - alike
    alignment = np.divide(alike, total, where=total > 0, out=np.zeros_like(alike))
    match = _match_best(similarity, alignment)
    frames, who = np.nonzero(match >= 0)
    partner = match[frames, who]
    reached = similarity[frames, who, partner]
    deta, assa = np.zeros(len(_ALPHAS)), np.zeros(len(_ALPHAS))
    for a, alpha in enumerate(_ALPHAS):
        hit = reached >= alpha
        counts = np.zeros_like(alike)
        np.add.at(counts, (who[hit], partner[hit]), 1)
        hits = int(hit.sum())
        deta[a] = hits / (there.sum() + seen.sum() - hits)
        share = counts / np.maximum(n_true + n_found - counts, 1)
        assa[a] = (counts * share).sum() / max(hits, 1)
    return {
        "hota": float(np.sqrt(deta * assa).mean()),
        "deta": float(deta.mean()),
        "assa": float(assa.mean()),
    }


def _match_best(similarity: AnyFloats, alignment: AnyFloats) -> Ints:
    """Match each frame at the greatest sum of similarity times alignment, (F, I); -1 = none."""
    match = np.full(similarity.shape[:2], -1)
    for rows in cut_blocks(len(similarity), 4 * alignment.size):
        score = similarity[rows] * alignment
        best = score.argmax(2)
        some = score.max(2) > 0
        # Where all have different favourites, nobody has to give way: no solver is needed.
        chosen = np.where(some, best, -1 - np.arange(best.shape[1]))
        ordered = np.sort(chosen, axis=1)
        match[rows] = np.where(some, best, -1)
        for f in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(1)):
            who, partner = assign_worth(score[f])
            row = match[rows][f]
            row[:] = -1
            row[who] = partner
    return match
