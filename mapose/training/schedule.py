"""How long to train and on views of which size: by what there is to learn, never by the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mapose.grid import round_up

#: What a training may cost, and what a view of 192 x 192 pixels costs in a step: seconds of a core
#: without AVX-512 (a step of 8 views took 0.42 s with 12 channels of the heads, 0.55 s with 91).
_BUDGET, _VIEW, _CHANNEL = 1300.0, 0.051, 0.0002
#: What a step costs with another encoder, as a multiple: 0.28 s where `small` takes 0.215 s (views
#: of 192 pixels, two strides frozen). Those of the hub differ, and are larger.
_ENCODERS = {"residual": 1.0, "efficientnet-lite0": 1.3, "hub": 4.0}
#: What a channel costs at stride 2, as a multiple: a step took 1.06 times as long with 12 channels,
#: 1.35 times with 91.
_FINE = 2.5
#: Labelled frames up to which the budget holds; more of them deserve more steps.
_LABELS = 200
#: Validations of a training; each also saves what is needed to go on, and costs as much as some
#: steps, so that there are fewer in a short one.
VALIDATIONS, LEAST_EVERY = 12, 10
#: Part of the steps that is done on small views, and their side as a share of the others.
_FIRST, _SMALL = 0.5, 2 / 3
#: Steps before the pace is measured, and over which it is: the first ones are slow.
_SETTLING, _WINDOW = 3, 40


def choose_steps(
    labels: int, *, channels: int, view: int, batch: int, stride: int = 4, encoder: str = "residual"
) -> int:
    """Choose how many steps to train, from what there is to learn and what a step costs.

    Parameters
    ----------
    labels : int
        Labelled frames to train on.
    channels : int
        Of the heads: scoremaps, offsets and fields.
    view : int
        Side of the views, pixels at the network's scale.
    batch : int
        Views per step.
    stride : int
        Input pixels per map cell.
    encoder : str
        Its kind, see `mapose.models.build_network`.

    Returns
    -------
    int
        A multiple of 20. Two cores without AVX-512 take 12 to 19 minutes for them; with more than
        200 labelled frames they grow with the square root of the labels.

    Examples
    --------
    >>> choose_steps(82, channels=12, view=192, batch=8)
    4220
    >>> choose_steps(82, channels=12, view=192, batch=8, encoder="efficientnet-lite0")
    3280
    >>> choose_steps(3200, channels=12, view=192, batch=8)
    16860
    """
    plan = Schedule(1000, view)
    one = _ENCODERS[encoder] * _VIEW + _CHANNEL * channels * (_FINE if stride < 4 else 1)
    cost = batch * plan.work / plan.steps / 192**2 * one
    much = math.sqrt(max(1.0, labels / _LABELS))
    return max(20, 20 * round(_BUDGET * much / cost / 20))


@dataclass(frozen=True)
class Schedule:
    """Steps of a training and the views they are made on.

    Parameters
    ----------
    steps : int
        How many.
    view : int
        Side of the views in the second half, pixels.
    """

    steps: int
    view: int

    @property
    def small(self) -> int:
        """Side of the views in the first half."""
        return min(self.view, max(96, round_up(int(_SMALL * self.view), 32)))

    @property
    def turn(self) -> int:
        """Step from which on views are large."""
        return int(_FIRST * self.steps)

    def find_view(self, step: int) -> int:
        """Find the side of the views of a step, pixels."""
        return self.small if step < self.turn else self.view

    @property
    def work(self) -> float:
        """Pixels of a view, summed over all steps."""
        return self._find_work(self.steps)

    def share(self, step: int) -> float:
        """Find the part of the work that is done after so many steps, 0 to 1."""
        return self._find_work(step) / self.work

    def _find_work(self, step: int) -> float:
        first = min(step, self.turn)
        return first * self.small**2 + (step - first) * self.view**2


class Pace:
    """Measures how fast a training goes, to say when it will end; decides nothing.

    Parameters
    ----------
    schedule : Schedule
        What there is to do.
    step : int
        Steps that were done before.
    """

    def __init__(self, schedule: Schedule, step: int) -> None:
        self.schedule, self.first = schedule, step + _SETTLING
        self.marks: list[tuple[float, float]] = []

    def find_left(self, step: int, now: float) -> float:
        """Find how many seconds are left after a step, NaN in the first few steps.

        Parameters
        ----------
        step : int
            Steps done.
        now : float
            Seconds on any clock that goes on.
        """
        if step < self.first:
            return math.nan
        done = self.schedule.share(step)
        self.marks = [*self.marks[-_WINDOW:], (done, now)]
        (before, then), *_ = self.marks
        return (1 - done) * (now - then) / (done - before) if done > before else math.nan
