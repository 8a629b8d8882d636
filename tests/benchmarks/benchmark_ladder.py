"""Who keeps the animals apart: our tracker, a plain one and other tools' on the ladder.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_ladder.py [--rungs NAME,...] [--seeds N]
[--frames N] [--held-out] [--sleap-nn PYTHON] [--deeplabcut PYTHON] [--cache FOLDER]

All trackers are given the same detections and the number of animals. "best" is what no tracker
can beat: each detection under the name of the animal it was made from. "online" is `OnlineTracker`,
one frame at a time, "offline" with the joining of tracklets, "looks" with embeddings. Peers run in
their own environments (see peers/); their answers are kept in the cache. IDF1 (mean, worst seed),
HOTA and switches by distance of keypoints, at most `ladder.REACH` px on average; "per hour"
is per animal-hour. "lasting" counts the changes of name, two by two, that hold for ten frames:
switches also happen where a detection that is two animals in one lies nearer to the other one for
a moment. frames/s are of processor time, of tracking alone. "error" is the expected calibration
error of the probabilities, over all seeds; "found" how many of the lasting changes are in the first
tenth of `find_swaps`.
"""

import argparse
import hashlib
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ladder import DEVELOPMENT, HELD_OUT, RECIPES, Rung, make_rung
from plain_tracker import track_plainly
from rich.console import Console
from rich.table import Table

from mapose.doubts import find_swaps
from mapose.metrics import name_scores, track_scores
from mapose.metrics.tracks import find_similarity
from mapose.tracking import OnlineTracker, Tracker, track_with_doubts

PEERS = Path(__file__).parent / "peers"
# Its default similarity, overlap of boxes, confuses animals in contact: 51 and 30 switches where
# object keypoint similarity has 2 and 2 ("4 merging", 600 frames); distance of centres 82 and 46.
SLEAP_NN = ("ocsort-oks", "bytetrack-oks", "classic")
WITH_LOOKS = ("deepocsort-oks", "botsort-oks")
HEADS = ("tracker", "IDF1 (worst)", "HOTA", "switches", "per hour", "lasting", "frames/s")
HEADS += ("error", "found")
#: More tracks than these are not looked at: the longest count, to the advantage of the others.
MOST_TRACKS = 60


@dataclass
class Answer:
    """What a tracker made of a rung."""

    poses: object
    seconds: float
    doubts: tuple = ()


def arrange_ids(rung: Rung, ids: np.ndarray):
    """Put detections into a row for each of the longest tracks."""
    known, place, count = np.unique(ids[ids >= 0], return_inverse=True, return_counts=True)
    kept = np.argsort(-count, kind="stable")[:MOST_TRACKS]
    row = np.full(len(known), -1)
    row[kept] = np.arange(len(kept))
    frame, slot = np.nonzero(ids >= 0)
    owner = row[place]
    found = rung.detections.array
    # In order of completeness, so that the best of several is written last.
    order = np.argsort(np.isfinite(found[frame, slot, :, 0]).sum(-1), kind="stable")
    order = order[owner[order] >= 0]
    array = np.full((len(found), max(len(kept), 1), *found.shape[2:]), np.nan, np.float32)
    array[frame[order], owner[order]] = found[frame[order], slot[order]]
    return replace(
        rung.detections, array=array, individuals=[f"track{i}" for i in range(array.shape[1])]
    )


def track_best(rung: Rung) -> Answer:
    return Answer(arrange_ids(rung, rung.owners), np.nan)


def track_online(rung: Rung) -> Answer:
    start = time.process_time()
    tracker = OnlineTracker(individuals=rung.individuals)
    rows = tracker.update_many(rung.detections.points, rung.detections.confidence)
    return Answer(arrange_ids(rung, rows), time.process_time() - start)


def track_offline(rung: Rung, embeddings=None) -> Answer:
    start = time.process_time()
    result = track_with_doubts(rung.detections, individuals=rung.individuals, embeddings=embeddings)
    return Answer(result.poses, time.process_time() - start, result.doubts)


def track_plain(rung: Rung) -> Answer:
    start = time.process_time()
    ids = track_plainly(rung.detections.points)
    return Answer(arrange_ids(rung, ids), time.process_time() - start)


def ask_peer(rung: Rung, script: str, python: str, *, method: str, cache: Path) -> Answer:
    """Track in another environment, or take the answer from the cache."""
    given = {
        "points": rung.detections.points,
        "confidence": rung.detections.confidence,
        "individuals": rung.individuals,
    }
    if rung.embeddings is not None:
        given["embeddings"] = rung.embeddings
    digest = hashlib.sha256((PEERS / script).read_bytes() + method.encode())
    for value in given.values():
        digest.update(np.ascontiguousarray(value).tobytes())
    cache.mkdir(parents=True, exist_ok=True)
    key = f"{method}-{digest.hexdigest()[:16]}"
    answer = cache / f"{key}.npz"
    if not answer.exists():
        question, fresh = cache / f"{key}.question.npz", cache / f"{key}.part.npz"
        np.savez(question, **given)
        command = [python, str(PEERS / script), str(question), str(fresh), method]
        done = subprocess.run(command, capture_output=True, text=True)
        question.unlink()
        if done.returncode:
            raise RuntimeError(f"{method}: {done.stderr[-2000:]}")
        fresh.rename(answer)
    said = np.load(answer)
    if "ids" in said:
        return Answer(arrange_ids(rung, said["ids"]), float(said["seconds"]))
    names = [f"track{i}" for i in range(said["rows"].shape[1])]
    found = replace(rung.detections, array=said["rows"], individuals=names)
    return Answer(found, float(said["seconds"]))


def list_trackers(rung: Rung, options) -> dict:
    """Name all trackers for a rung."""
    trackers = {
        "best": track_best,
        "ours online": track_online,
        "ours offline": track_offline,
        "plain": track_plain,
    }
    if rung.embeddings is not None:
        trackers["ours looks"] = lambda rung: track_offline(rung, rung.embeddings)
    peers = []
    if options.sleap_nn:
        methods = SLEAP_NN + (WITH_LOOKS if rung.embeddings is not None else ())
        peers += [("track_with_sleap_nn.py", options.sleap_nn, m) for m in methods]
    if options.deeplabcut:
        peers.append(("track_with_deeplabcut.py", options.deeplabcut, "ellipse"))
    for script, python, method in peers:

        def ask(rung, script=script, python=python, method=method):
            return ask_peer(rung, script, python, method=method, cache=options.cache)

        trackers[method] = ask
    wanted = options.trackers.split(",") if options.trackers else list(trackers)
    return {name: run for name, run in trackers.items() if name in wanted}


def find_true_swaps(rung: Rung, found, least=10):
    """Find when two rows changed animals for at least so many frames: (from, to, {row, row})."""
    near = find_similarity(rung.truth.points, found.points, reach=rung.reach)
    swaps = []
    for animal in range(near.shape[1]):
        frame = np.flatnonzero(near[:, animal].max(-1) >= 0.5)
        row = near[frame, animal].argmax(-1)
        # Runs of one row; those too short are doubts of a moment, not swaps.
        edge = np.flatnonzero(np.diff(row, prepend=-1))
        length = np.diff(np.append(edge, len(row)))
        edge, last = edge[length >= least], (edge + length - 1)[length >= least]
        for a, b in zip(last[:-1], edge[1:], strict=True):
            if row[a] != row[b]:
                start, end = rung.truth.frames[frame[[a, b]]].tolist()
                swaps.append((start, end, frozenset(row[[a, b]].tolist())))
    # Both animals of a swap tell of it.
    kept = []
    for swap in sorted(swaps, key=lambda s: s[:2]):
        if not any(pair == swap[2] and last >= swap[0] - 15 for _, last, pair in kept):
            kept.append(swap)
    return kept


def count_found(true, answer: Answer, slack=15):
    """Count the true swaps that are among the first tenth of `find_swaps`."""
    names = answer.poses.names
    ranked = find_swaps(answer.doubts)
    first = ranked[: -(-len(ranked) // 10)]
    return sum(
        any(
            pair == {names.index(n) for n in guess.individuals}
            and guess.first - slack <= end
            and guess.last + slack >= start
            for guess in first
        )
        for start, end, pair in true
    )


def measure(rung: Rung, answer: Answer) -> dict:
    scores = track_scores(rung.truth, answer.poses, reach=rung.reach)
    record = {
        "idf1": scores.idf1,
        "hota": scores.hota,
        "switches": scores.switches,
        "hours": scores.detections / rung.truth.rate / 3600,
        "speed": len(rung.truth) / answer.seconds,
        "tenths": np.zeros((10, 3)),
    }
    true = find_true_swaps(rung, answer.poses)
    record["swaps"] = (count_found(true, answer), len(true))
    if answer.poses.identity is not None:
        for k, tenth in enumerate(name_scores(rung.truth, answer.poses, reach=rung.reach).tenths):
            if tenth.count:
                record["tenths"][k] = tenth.count * np.array([1, tenth.stated, tenth.right])
    return record


def summarize(records: list[dict]) -> list[str]:
    idf1 = np.array([r["idf1"] for r in records])
    switches = sum(r["switches"] for r in records)
    tenths = sum(r["tenths"] for r in records)
    moments = tenths[:, 0].sum()
    error = np.abs(tenths[:, 1] - tenths[:, 2]).sum() / moments if moments else np.nan
    hits, swaps = np.sum([r["swaps"] for r in records], axis=0)
    speed = np.median([r["speed"] for r in records])
    return [
        f"{idf1.mean():.4f} ({idf1.min():.4f})",
        f"{np.mean([r['hota'] for r in records]):.3f}",
        str(switches),
        f"{switches / sum(r['hours'] for r in records):.1f}",
        str(swaps),
        "" if np.isnan(speed) else f"{speed:.0f}",
        f"{error:.3f}" if moments else "",
        f"{hits}/{swaps}" if moments and swaps else "",
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every benchmark of trackers needs to be told."""
    parser.add_argument("--trackers", help="names, comma between; all by default")
    parser.add_argument("--sleap-nn", help="python of an environment with sleap-nn 0.3.5")
    parser.add_argument("--deeplabcut", help="python of an environment with deeplabcut 3.0.2")
    parser.add_argument("--cache", type=Path, default=Path("ladder-cache"), help="peers' answers")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--rungs", help="names, comma between; all by default")
    parser.add_argument("--seeds", type=int, default=1, help="up to 5")
    parser.add_argument("--held-out", action="store_true", help="seeds that nothing is tuned on")
    parser.add_argument("--frames", type=int, default=4000)
    options = parser.parse_args()
    seeds = (HELD_OUT if options.held_out else DEVELOPMENT)[: options.seeds]
    kind = "held-out" if options.held_out else "development"
    table = Table("rung", *HEADS, title=f"{options.frames} frames, {kind} seeds {list(seeds)}")
    Tracker().update_many(np.zeros((2, 1, 2, 2)))  # the import of filterpy is not counted
    for name in options.rungs.split(",") if options.rungs else RECIPES:
        records: dict = {}
        for seed in seeds:
            rung = make_rung(name, seed=seed, frames=options.frames)
            for tracker, run in list_trackers(rung, options).items():
                records.setdefault(tracker, []).append(measure(rung, run(rung)))
        for tracker, rows in records.items():
            table.add_row(name, tracker, *summarize(rows))
        table.add_section()
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
