"""Track detections with sleap-nn 0.3.5, in its own environment.

Run: PYTHON track_with_sleap_nn.py IN.npz OUT.npz METHOD, as `benchmark_ladder.py` does. METHOD is
classic (OKS against the last frames of every track, at most as many tracks as animals), or one of
its modern ones, with its preset for animals and closed-set linking to their number: ocsort,
bytetrack, and with appearance where it was measured deepocsort, botsort. A similarity may follow:
ocsort-oks, ocsort-centroid.
"""

import sys
import time
from pathlib import Path

import numpy as np
import sleap_io
from loguru import logger
from sleap_nn.tracking.mot import build_mot_tracker
from sleap_nn.tracking.mot.params import MOTParams
from sleap_nn.tracking.tracker import Tracker, connect_single_breaks


def make_frames(points, confidence, embeddings):
    """Make the instances of every frame, and note in which slot each was."""
    skeleton = sleap_io.Skeleton([f"k{k}" for k in range(points.shape[2])])
    frames, slots = [], {}
    present = np.isfinite(points[..., 0]).any(-1)
    for f in range(len(points)):
        instances = []
        for s in np.flatnonzero(present[f]):
            known = np.isfinite(points[f, s, :, 0])
            instance = sleap_io.PredictedInstance.from_numpy(
                points[f, s].astype(np.float64),
                skeleton=skeleton,
                point_scores=confidence[f, s].astype(np.float64),
                score=float(confidence[f, s, known].mean()),
            )
            if embeddings is not None and np.isfinite(embeddings[f, s]).all():
                instance.identity_embedding = sleap_io.Embedding(embeddings[f, s])
            instances.append(instance)
            slots[id(instance)] = (f, s)
        frames.append(instances)
    return frames, slots


def track_classic(frames, animals):
    tracker = Tracker.from_config(
        candidates_method="local_queues",
        max_tracks=animals,
        oks_stddev=0.1,
        tracking_target_instance_count=animals,
        tracking_pre_cull_to_target=1,
        tracking_pre_cull_iou_threshold=0.8,
    )
    kept = [tracker.track(list(instances), f) for f, instances in enumerate(frames)]
    video = sleap_io.Video("none.mp4", open_backend=False)
    labelled = [sleap_io.LabeledFrame(video, f, some) for f, some in enumerate(kept)]
    connect_single_breaks(labelled, animals)
    return labelled


def track_modern(frames, animals, method, keypoints):
    method, _, similarity = method.partition("-")
    params = MOTParams.for_tracker(method, max_tracks=animals, similarity=similarity or "auto")
    tracker = build_mot_tracker(params, carrier="pose", n_nodes=keypoints)
    tracker.prepare(list(enumerate(frames)))
    for f, instances in enumerate(frames):
        tracker.track(instances, f, image=None)
    tracker.finalize()


def main():
    logger.remove()
    given = np.load(sys.argv[1])
    method, animals = sys.argv[3], int(given["individuals"])
    looks = given.get("embeddings")
    frames, slots = make_frames(given["points"], given["confidence"], looks)
    start = time.process_time()
    if method == "classic":
        held = track_classic(frames, animals)
    else:
        held = track_modern(frames, animals, method, given["points"].shape[2])
    seconds = time.process_time() - start
    ids = np.full(given["points"].shape[:2], -1)
    numbers = {}
    for instances in frames:
        for instance in instances:
            if instance.track is not None:
                number = numbers.setdefault(instance.track.name, len(numbers))
                ids[slots[id(instance)]] = number
    del held
    np.savez(Path(sys.argv[2]), ids=ids, seconds=seconds)


if __name__ == "__main__":
    main()
