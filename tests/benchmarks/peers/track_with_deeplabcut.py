"""Track detections with DeepLabCut 3.0.2, in its own environment, which needs filterpy 1.4.5.

Run: PYTHON track_with_deeplabcut.py IN.npz OUT.npz METHOD, as `benchmark_ladder.py` does. METHOD is
ellipse, skeleton or box: its tracker, then its stitcher with the number of animals. Settings are
its defaults, but tracks may be out of sight for 30 frames instead of one: on "2 merging", 2000
frames, its stitcher finds no solution with one and gives nothing at all (IDF1 0.45, 0.64 and 0.52
with 5, 30 and 100; on "4 merging" 0.52, 0.49, 0.48 and 0.53 with 1, 5, 30 and 100). With
filterpy 2.0.0, which it admits, its filters go astray and every part is shorter than 10 frames.
"""

import sys
import time
import warnings
from pathlib import Path

import filterpy
import numpy as np
from deeplabcut.core.trackingutils import EllipseFitter
from deeplabcut.pose_estimation_pytorch.apis.tracklets import build_tracklets
from deeplabcut.refine_training_dataset.stitch import TrackletStitcher

SETTINGS = {
    "max_age": 30,
    "min_hits": 1,
    "iou_threshold": 0.6,
    "oks_threshold": 0.5,
    "pcutoff": 0.1,
    "boundingboxslack": 10,
}


def track(points, confidence, animals, method):
    """Track as `convert_detections2tracklets` and `stitch_tracklets` do; a row per animal."""
    frames, _, keypoints = points.shape[:3]
    poses = np.concatenate([points, confidence[..., None]], -1)
    present = np.isfinite(points[..., 0]).any(-1)
    poses[~np.isfinite(poses[..., 0])] = np.nan, np.nan, 0
    found = {f: list(poses[f, present[f]]) for f in range(frames) if present[f].any()}
    tracklets = build_tracklets(
        found,
        method,
        {**SETTINGS, "topktoretain": max(animals, 2)},
        [f"k{k}" for k in range(keypoints)],
        "peer",
        frames,
    )
    stitcher = TrackletStitcher.from_dict_of_dict(tracklets, animals)
    stitcher.build_graph()
    stitcher.stitch()
    rows = np.full((frames, animals, keypoints, 3), np.nan)
    for row, one in enumerate(stitcher.tracks):
        data = np.asarray(one.data)[..., :3].reshape(len(one.inds), keypoints, 3)
        rows[one.inds, row] = data
    return rows


def main():
    warnings.simplefilter("ignore")
    if filterpy.__version__ != "1.4.5":
        sys.exit(f"wanted filterpy 1.4.5, came {filterpy.__version__}")
    given = np.load(sys.argv[1])
    points = given["points"].astype(np.float64)
    fit = EllipseFitter().fit
    fit(points[np.isfinite(points).all((-1, -2))][0])  # what it compiles is not counted
    start = time.process_time()
    rows = track(points, given["confidence"], int(given["individuals"]), sys.argv[3])
    seconds = time.process_time() - start
    np.savez(Path(sys.argv[2]), rows=rows.astype(np.float32), seconds=seconds)


if __name__ == "__main__":
    main()
