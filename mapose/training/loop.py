"""Training: one readable loop, and what is needed to stop and go on exactly."""

from __future__ import annotations

import copy
import csv
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mapose.arrays import Floats, Ints
from mapose.config import TrainSettings
from mapose.data import (
    Augmentation,
    CropSet,
    TrainingSet,
    draw_centres,
    draw_fields,
    draw_owners,
    draw_scores,
)
from mapose.errors import FormatError, SettingsError
from mapose.files import write_atomically, write_yaml
from mapose.interruptions import hold_signals
from mapose.models import (
    Encoder,
    Maps,
    PoseNetwork,
    Shards,
    find_centre_loss,
    find_losses,
    find_mark_loss,
    load_tensors,
    normalise,
    save_tensors,
    spare_cores,
)
from mapose.reading import explain_damage, load_yaml
from mapose.training.ahead import draw_ahead
from mapose.training.memory import Gradients
from mapose.training.repeatable import repeat_exactly
from mapose.training.runs import STATE
from mapose.training.schedule import LEAST_EVERY, VALIDATIONS, Pace, Schedule
from mapose.training.snapshots import (
    keep_snapshots,
    list_snapshots,
    name_snapshot,
    save_snapshot,
)
from mapose.training.team import Team

logger = logging.getLogger(__name__)

#: Columns of ``training.csv``; errors in image pixels, empty between validations.
COLUMNS = (
    *("step", "seconds", "loss", "scoremap_loss", "offset_loss", "affinity_loss", "rate"),
    *("train_error", "validation_error"),
)
#: Validations to wait that no training has: it never stops early, and its last weights count.
NEVER = 2**31
#: Part of the last validation error below which an earlier one is better, not only luckier.
_CLEARLY = 0.95
#: Weight of whose a keypoint is beside where it is. As much as of the other maps would make the
#: features look for names first: two flies were 35 px off after 340 steps instead of 28.
_MARKS = 0.1


@dataclass(frozen=True)
class Progress:
    """Where a training run stands, given to the caller after every step.

    Parameters
    ----------
    step, steps : int
        Steps done, and steps of the whole schedule.
    share : float
        Part of the work that is done, 0 to 1; the first steps are cheaper than the last.
    seconds, left : float
        Time trained, over all runs, and time that is left at the present pace; NaN until there
        is one.
    loss : float
        Mean of the last steps.
    train_error, validation_error : float
        Last validation, image pixels; NaN before the first or without frames for it.
    stage : str
        What is said before it, if not the first stage is trained.
    """

    step: int
    steps: int
    share: float
    seconds: float
    left: float
    loss: float
    train_error: float
    validation_error: float
    stage: str = ""

    @property
    def note(self) -> str:
        """What a progress bar says beside its own estimate."""
        off = self.validation_error
        error = "" if math.isnan(off) else f", validation error {off:.2f} px"
        return f"{self.stage}loss {self.loss:.3f}{error}"


class Trainer:
    """Fits a network to a training set.

    How long it trains, and on what, is a matter of steps: the clock decides nothing unless the
    settings limit the minutes.

    Parameters
    ----------
    network : PoseNetwork
        Trained in place.
    data : TrainingSet or CropSet
        Labelled images or crops at the network's scale.
    folder : Path
        Receives the log and what is needed to go on.
    edges : int64, (E, 2)
        Keypoints at the ends of each affinity channel.
    settings : TrainSettings
        Rate, batch and so on; ``steps`` must be a number.
    augmentation : Augmentation
        Limits of the random views.
    view : int
        Side of the views in the second half, input pixels; in the first it is two thirds.
    """

    def __init__(
        self,
        network: PoseNetwork,
        data: TrainingSet | CropSet,
        *,
        folder: Path,
        edges: Ints,
        settings: TrainSettings,
        augmentation: Augmentation,
        view: int,
    ) -> None:
        if settings.steps is None:
            raise SettingsError("train.steps: the trainer wants a number of steps, came none")
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = next(network.parameters()).device
        self.data, self.folder, self.settings = data, folder, settings
        self.edges = torch.as_tensor(edges, device=self.device)
        named = getattr(data, "named", None)
        self.named = None if named is None else torch.as_tensor(named, device=self.device)
        self.schedule = Schedule(settings.steps, view)
        self.every = settings.every or max(LEAST_EVERY, settings.steps // VALIDATIONS)
        self.drawing = {
            "augmentation": augmentation,
            "seed": settings.seed,
        }
        self.mixed = settings.mixed and has_bfloat16(self.device)
        self.average = copy.deepcopy(network).eval()
        self.optimizer = torch.optim.AdamW(
            _group_parameters(network, settings),
            lr=settings.rate,
            fused=True,
        )
        self.step, self.seconds = 0, 0.0
        self.best, self.best_step, self.waited = math.inf, 0, 0
        self.parts = 1  # in which a batch is worked on, more where memory does not suffice
        self.errors = (math.nan, math.nan)
        self.losses: list[Floats] = []  # of the steps since the last row of the log
        self.team = Team()  # or others that help

    @property
    def share(self) -> float:
        """Part of the schedule that is done: by steps, or by time if that is limited and ahead."""
        limit = self.settings.minutes
        by_time = self.seconds / (60 * limit) if limit else 0.0
        return min(1.0, max(self.step / self.schedule.steps, by_time))

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train: a run may have been killed after its last step."""
        return self.share >= 1 or self.waited >= self.settings.patience

    @property
    def chosen(self) -> int:
        """Step whose weights are those of the model: the last, or the best if clearly better."""
        stopped = self.share < 1 and self.is_done
        judged = self.settings.patience < NEVER and self.best_step > 0
        better = judged and (stopped or self.best < _CLEARLY * self.errors[1])
        return self.best_step if better else self.step

    @property
    def was_cut(self) -> bool:
        """Whether the limit of minutes ended the training before its steps were done."""
        return self.share >= 1 and self.step < self.schedule.steps

    def run(
        self,
        validate: Callable[[PoseNetwork], tuple[float, float]],
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> PoseNetwork:
        """Train to the end of the schedule or until the validation error stops falling.

        Parameters
        ----------
        validate : function of PoseNetwork
            Gives the train and validation error of the averaged network, image pixels.
        on_progress : function of Progress, optional
            Called after every step.

        Returns
        -------
        PoseNetwork
            The averaged network of the step that is `chosen`: usually the last one, for there the
            learning rate has come down to nothing.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, when the step is done and saved.
        """
        shards = Shards(self.network, self.device, processes=self.team.size)
        try:
            with spare_cores(), repeat_exactly(self.settings.deterministic):
                self._run(shards, validate, on_progress)
        finally:
            self.team.end()
            shards.close()
        if self.share < 1 and self.is_done:
            logger.info("stopped early: no better since %d validations", self.waited)
        if self.chosen != self.step:
            best = name_snapshot(self.folder, self.chosen)
            self.average.load_state_dict(load_tensors(best))
        if self.was_cut:
            logger.warning(
                "train.minutes=%g ended the training after %d of %d steps; "
                "--set train.minutes=null trains them all",
                *(self.settings.minutes, self.step, self.schedule.steps),
            )
        return self.average

    def assist(self) -> None:
        """Find gradients for the process that leads, until it has no step any more."""
        shards = Shards(self.network, self.device, processes=self.team.size)
        gradients = Gradients(shards)
        try:
            with spare_cores(), repeat_exactly(self.settings.deterministic):
                while (step := self.team.await_step(self.network)) is not None:
                    self.network.train()
                    losses = gradients.find(self._find_losses, self._draw_batch(step))
                    self.team.average(self.network, losses)
        finally:
            shards.close()

    def _run(
        self,
        shards: Shards,
        validate: Callable[[PoseNetwork], tuple[float, float]],
        on_progress: Callable[[Progress], None],
    ) -> None:
        pace = Pace(self.schedule, self.step)
        clock = time.monotonic()
        gradients = Gradients(shards, self.parts)
        batches = draw_ahead(self._draw_batch, self.step)
        while not self.is_done:
            with hold_signals() as stops:  # a step that is half done could not be saved
                self.losses.append(self._train_step(gradients, next(batches)))
                now = time.monotonic()
                self.seconds, clock = self.seconds + now - clock, now
                saves = self.share >= 1 or self.step % self.every == 0
                if saves:
                    self.errors = validate(self.average)
                    self._note_best(self.errors[1])
                    self._log(np.mean(self.losses, axis=0))
                    self.losses = self.losses[-1:]
                    self.save()
                on_progress(self._describe_progress(pace.find_left(self.step, now)))
                if stops and not saves:
                    self.save()

    def _describe_progress(self, left: float) -> Progress:
        mean = float(np.mean([row[0] for row in self.losses[-50:]]))
        share = max(self.share if self.settings.minutes else 0, self.schedule.share(self.step))
        so_far = (self.step, self.schedule.steps, share, self.seconds)
        return Progress(*so_far, left, mean, *self.errors)

    def _draw_batch(self, step: int) -> tuple:
        """Draw this process's part of the batch: views are drawn by their number."""
        part = self.team.split(self.settings.batch)
        return self.data.draw_batch(
            step * self.team.size + self.team.rank,
            batch=part,
            size=self.schedule.find_view(step),
            **self.drawing,  # type: ignore[arg-type]
        )

    def _train_step(self, gradients: Gradients, batch: tuple) -> Floats:
        self._set_rate()
        self.network.train()
        self.team.begin_step(self.step, self.network)
        losses = self.team.average(self.network, gradients.find(self._find_losses, batch))
        self.parts = gradients.parts
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return losses.cpu().numpy().astype(np.float64)

    def _find_losses(self, network: torch.nn.Module, share: tuple) -> list[torch.Tensor]:
        views, points, known = (torch.from_numpy(part).to(self.device) for part in share)
        network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            maps = network(normalise(views))
        high, wide = maps.scores.shape[2:]
        size, pitch = (high, wide), float(self.network.stride)
        scores, offsets = draw_scores(points, size, pitch=pitch)
        fields, on_limb = draw_fields(points, self.edges, size, pitch=pitch)
        marks, seen = maps.marks, maps.centres
        maps = Maps(maps.scores.float(), maps.offsets.float(), maps.fields.float())
        losses = find_losses(maps, Maps(scores, offsets, fields), known, on_limb=on_limb)
        total = losses.total
        if marks is not None and self.named is not None:
            owner, weight = draw_owners(points, self.named, size, pitch=pitch)
            total = total + _MARKS * find_mark_loss(marks.float(), owner, weight)
        if seen is not None:
            centres, weight = draw_centres(points, size, pitch=pitch)
            total = total + find_centre_loss(seen.float(), centres, weight)
        return [total, losses.scoremap, losses.offset, losses.affinity]

    def _set_rate(self) -> None:
        """Warm up over 2 % of the schedule, then follow a cosine down to a hundredth."""
        warm = min(1.0, (self.share + 1e-4) / 0.02)
        rate = self.settings.rate * warm * (0.505 + 0.495 * math.cos(math.pi * self.share))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]

    @torch.no_grad()
    def _update_average(self) -> None:
        # While young the average follows fast: its first weights are random.
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        new, old = self.network.state_dict(), self.average.state_dict()
        for name, value in old.items():
            if value.dtype.is_floating_point:
                value.lerp_(new[name], 1 - decay)
            else:
                value.copy_(new[name])

    def _note_best(self, error: float) -> None:
        """Keep a snapshot of the best validation so far, and of others if they are asked for."""
        better = error < self.best
        self.waited += not math.isnan(error)
        if better:
            self.best, self.best_step, self.waited = error, self.step, 0
        if better or self.settings.snapshots:
            save_snapshot(self.folder, self.step, self.average.state_dict())

    def _log(self, losses: Floats) -> None:
        rate = self.optimizer.param_groups[0]["lr"]
        row = [*losses, rate, *self.errors]
        texts = [str(self.step), f"{self.seconds:.1f}", *(f"{v:.6g}" for v in row)]
        path = self.folder / "training.csv"
        _write_log([*_read_log(path), dict(zip(COLUMNS, texts, strict=True))], path)

    def save(self) -> None:
        """Write all that is needed to go on exactly from here.

        The state before it and the first one are kept, too, for disks that lose what they took.
        """
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        save_tensors(tensors, self.folder / f"step-{self.step}.safetensors")
        state = {"step": self.step, "seconds": self.seconds, "best": self.best}
        state |= {"best_step": self.best_step, "parts": self.parts}
        state |= {"waited": self.waited, "errors": list(self.errors)}
        state |= {"losses": [row.tolist() for row in self.losses]}
        earlier = [s for s in _read_states(self.folder / STATE) if s["step"] < self.step]
        kept = [state, *earlier[:1], *earlier[1:][-1:]]
        # The states name their tensors, so that a kill between the two writes loses nothing.
        write_yaml(kept, self.folder / STATE)
        names = {f"step-{s['step']}.safetensors" for s in kept}
        for old in self.folder.glob("step-*.safetensors"):
            if old.name not in names:
                old.unlink()
        count = self.settings.snapshots
        newest = list_snapshots(self.folder)[-count:] if count else []
        keep_snapshots(self.folder, [*newest, self.best_step])

    def load(self) -> None:
        """Take up a run where `save` left it, or where it was before if that is damaged.

        Raises
        ------
        SettingsError
            If there is nothing to take up, or it is a run of another network.
        """
        for state in _read_states(self.folder / STATE):
            try:
                with explain_damage(self.folder):
                    tensors = load_tensors(self.folder / f"step-{state['step']}.safetensors")
                    self._take(state, tensors)
            except FormatError as fault:
                logger.warning("goes on from an earlier state, as the last is damaged: %s", fault)
                continue
            _trim_log(self.folder / "training.csv", self.step)
            return
        raise SettingsError(
            f"{self.folder}: no interrupted training here to resume, or what it left is damaged; "
            "begin a new one without --resume"
        )

    def _take(self, state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        try:
            self.network.load_state_dict(parts["network"])
            self.average.load_state_dict(parts["average"])
        except RuntimeError as error:
            raise SettingsError(f"{self.folder}: a run with other settings: {error}") from None
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = value
        # The fused optimizer walks memory as it lies: moments must lie as their parameters do.
        flat = [p for group in self.optimizer.param_groups for p in group["params"]]
        for i, state_of in moments.items():
            for key, value in state_of.items():
                if value.shape == flat[i].shape:
                    state_of[key] = torch.empty_like(flat[i]).copy_(value)
        saved = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**saved, "state": moments})
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.best, self.waited = float(state["best"]), int(state["waited"])
        self.best_step, self.parts = int(state.get("best_step", 0)), int(state.get("parts", 1))
        before = [step for step in list_snapshots(self.folder) if step <= self.step]
        keep_snapshots(self.folder, before)
        on_train, on_others = map(float, state["errors"])
        self.errors = (on_train, on_others)
        self.losses = [np.array(row, np.float64) for row in state.get("losses", [])]


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 faster than in full precision.

    On a processor with the instructions (AVX-512 BF16 or AMX) a step took 0.5 to 0.65
    of the time on the one processor measured; where they are there but switched off
    (``ATEN_CPU_CAPABILITY``), five times as long.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, lambda: False)()) for check in checks)


def _group_parameters(network: PoseNetwork, settings: TrainSettings) -> list[dict[str, Any]]:
    """Weight decay is for convolutions only, not for biases and norms."""
    is_own = isinstance(network.encoder, Encoder) or settings.encoder_rate == 1
    inside = set() if is_own else {id(p) for p in network.encoder.parameters()}
    groups: list[dict[str, Any]] = []
    for factor, is_encoder in ((1.0, False), (settings.encoder_rate, True)):
        mine = [p for p in network.parameters() if (id(p) in inside) == is_encoder]
        for fall, is_deep in ((settings.decay, True), (0.0, False)):
            chosen = [p for p in mine if p.requires_grad and (p.ndim >= 2) == is_deep]
            groups.append({"params": chosen, "weight_decay": fall, "factor": factor})
    return [group for group in groups if group["params"]]


def _read_states(path: Path) -> list[dict[str, Any]]:
    """Read the states of a run, the newest first; none where there are none or all is damaged."""
    try:
        found = load_yaml(path.read_text(encoding="utf-8"), path)
    except (FileNotFoundError, ValueError, FormatError):
        return []
    states = found if isinstance(found, list) else [found]  # an older mapose wrote one
    return [s for s in states if isinstance(s, dict) and isinstance(s.get("step"), int)]


def _trim_log(path: Path, step: int) -> None:
    """Drop the rows that were logged after the state was saved."""
    if path.is_file():
        _write_log([row for row in _read_log(path) if int(row["step"]) <= step], path)


def _read_log(path: Path) -> list[dict[str, str]]:
    """Read the rows of a log; those that a disk has lost a part of are left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = [row for row in csv.DictReader(file) if set(row) == set(COLUMNS)]
    return [row for row in rows if (row["step"] or "").isdecimal() and None not in row.values()]


def _write_log(rows: list[dict[str, str]], path: Path) -> None:
    with (
        write_atomically(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
