"""From a model's keypoint candidates to its poses, with confidence that can be relied on."""

from __future__ import annotations

from dataclasses import replace

from mapose.decode import assemble
from mapose.models import Model
from mapose.poses import Peaks, Poses


def assemble_poses(peaks: Peaks, model: Model, *, individuals: int | None = None) -> Poses:
    """Assemble what a model has found into animals.

    Parameters
    ----------
    peaks : Peaks
        Candidates that the model found.
    model : Model
        Its links, reach and anatomy tell what belongs together, its `Confidence` what scores
        and covariances are worth.
    individuals : int, optional
        Animals per frame, the model's own number by default.

    Returns
    -------
    Poses
        Unordered slots; confidence is the probability that a keypoint is there and within the
        model's tolerance, or the score in models of before it was calibrated.
    """
    found = assemble(
        peaks,
        model.body,
        individuals=individuals or model.individuals,
        reach=model.reach,
        anatomy=model.anatomy,
    )
    found = replace(found, skeleton=model.skeleton)
    return found if model.confidence is None else model.confidence.apply(found)
