"""One set of frames into one answer: network, assembly, tracking, prediction."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

from calibration import CameraGroup, select_stations
from mapose.analysis.posing import assemble_poses
from mapose.analysis.prediction import Predictor
from mapose.errors import SettingsError, suggest_name
from mapose.live.answers import Answer
from mapose.live.following import FlatFollower, Found, SpaceFollower
from mapose.live.gathering import FrameSet
from mapose.live.motion import Motion
from mapose.models import Model
from mapose.poses import Peaks, join_peaks
from mapose.zoo import find_model

#: Images that come, as far as one can know.
_ENDLESS = 10**9


class Watcher:
    """Turn sets of frames into answers.

    Parameters
    ----------
    model : Model
        Finds the poses.
    cameras : CameraGroup or None
        Calibration of the cameras, where there are several.
    names : sequence of str
        Of the cameras.
    rate : float
        Frames per second.
    individuals : int
        Animals in view.
    device : str, optional
        Where to compute.
    """

    def __init__(
        self,
        model: Model,
        cameras: CameraGroup | None,
        *,
        names: Sequence[str],
        rate: float,
        individuals: int,
        device: str | None = None,
    ) -> None:
        self.model, self.individuals = model, individuals
        self.rows = tuple(f"track{i}" for i in range(individuals))
        self.predictor = Predictor(
            model, individuals=individuals, device=device, frames=_ENDLESS, at_once=True
        )
        self.follower: FlatFollower | SpaceFollower
        if cameras is None:
            self.follower = FlatFollower(names[0], individuals)
        else:
            self.follower = SpaceFollower(cameras, model.skeleton, individuals, rate)
        self.motion = Motion(individuals, len(model.skeleton.keypoints), self.follower.dimensions)

    def answer(
        self, frames: FrameSet, *, moment: float | None = None
    ) -> tuple[Answer, dict[str, float]]:
        """Answer a set.

        Parameters
        ----------
        frames : FrameSet
            The next one.
        moment : float, optional
            To which to predict, seconds of the clock of `frames`; now by default.

        Returns
        -------
        Answer
        dict of str to float
            How long the stages took, seconds.
        """
        marks = [time.monotonic()]
        peaks = self.look(frames)
        marks.append(time.monotonic())
        poses = assemble_poses(peaks, self.model, individuals=self.individuals)
        views = {camera: poses.take(slice(v, v + 1)) for v, camera in enumerate(frames.frames)}
        marks.append(time.monotonic())
        found = self.follower.update(frames.number, views)
        self.motion.update(frames.exposed, found.points, found.covariance, found.size)
        marks.append(time.monotonic())
        steps = (b - a for a, b in pairwise(marks))
        times = dict(zip(("network", "assembly", "tracking"), steps, strict=True))
        moment = time.monotonic() if moment is None else moment
        return self._make_answer(frames, found, moment), times

    def look(self, frames: FrameSet) -> Peaks:
        """Find candidates, one frame of peaks per view."""
        images = [self.predictor.prepare(frame.image) for frame in frames.frames.values()]
        if len({image.shape for image in images}) == 1:
            return self.predictor.find_at_once(images)  # one pass through the network for all views
        return join_peaks([self.predictor.find_at_once([image]) for image in images])

    def _make_answer(self, frames: FrameSet, found: Found, moment: float) -> Answer:
        predicted, spread = self.motion.predict(moment)
        return Answer(
            frames=frames,
            skeleton=self.model.skeleton,
            individuals=self.rows,
            unit=self.follower.unit,
            points=found.points,
            covariance=found.covariance,
            confidence=found.confidence,
            moment=moment,
            predicted=predicted,
            predicted_covariance=spread,
            certainty=found.certainty,
            views=found.views,
        )


def make_watcher(
    model: Model | str | os.PathLike[str],
    rates: Mapping[str, float],
    *,
    cameras: CameraGroup | None = None,
    individuals: int | None = None,
    device: str | None = None,
) -> Watcher:
    """Make what answers, for cameras with these names and rates.

    Raises
    ------
    SettingsError
        If the number of animals is not known, or calibration and cameras do not fit.
    """
    model = model if isinstance(model, Model) else Model.load(find_model(str(model)))
    count = individuals or model.individuals
    if not count or count < 1:
        raise SettingsError("--individuals: the model does not say how many animals there are")
    return Watcher(
        model,
        _pick_cameras(list(rates), cameras),
        names=list(rates),
        rate=max(rates.values()),
        individuals=count,
        device=device,
    )


def _pick_cameras(names: list[str], cameras: CameraGroup | None) -> CameraGroup | None:
    """Pick the calibration of the sources, in their order."""
    if not names:
        raise SettingsError("--source: wanted one camera or more, came none")
    if cameras is None:
        if len(names) > 1:
            raise SettingsError(
                f"--calibration: {len(names)} cameras together want a calibration; without one, "
                "run each by itself"
            )
        return None
    cameras = select_stations(cameras, math.inf)  # where they stand now
    missing = [name for name in names if name not in cameras.names]
    if missing:
        raise SettingsError(
            f"--source: no camera {missing[0]!r} in the calibration: "
            f"{suggest_name(missing[0], cameras.names)}"
        )
    return CameraGroup([cameras[name] for name in names], cameras.unit) if len(names) > 1 else None
