"""Commands from labels to a network: new, import, train, evaluate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mapose.cli.application import Animals, Device, Dir, Json, app, split_names, split_pairs
from mapose.cli.numbers import real, whole
from mapose.cli.terminal import QUICK, console, show_error, show_progress, show_result, tell_count
from mapose.errors import SettingsError


@app.command()
def new(
    folder: Dir,
    keypoints: Annotated[str, typer.Option(help="names, separated by commas")],
    edges: Annotated[str, typer.Option(help="limbs, a-b,b-c")] = "",
    landmarks: Annotated[str, typer.Option(help="keypoints that belong to no animal")] = "",
    individuals: Annotated[str, typer.Option(help="how many animals, or their names")] = "1",
    videos: Annotated[list[Path] | None, typer.Option(help="video files; they stay")] = None,
) -> None:
    """Make a project.

    Example: mapose new mice --keypoints snout,tail --edges snout-tail --individuals 2
    """
    from mapose.project.project import Project, find_enclosing
    from mapose.skeleton import Skeleton

    if around := find_enclosing(folder):
        show_error(
            f"{folder} lies inside the project {around}; if that was not meant, delete it and make "
            "it elsewhere",
            style="yellow",
        )
    marks = split_names(landmarks)
    names = [*split_names(keypoints), *marks]
    mark = "-" if not any("-" in n for n in names) else ">"
    skeleton = Skeleton(names, split_pairs(edges, mark, "--edges"), landmarks=marks)
    project = Project.create(
        folder, skeleton, individuals=_read_animals(individuals), videos=videos or []
    )
    console.print(
        f"{folder}: {tell_count(len(names), 'keypoint')}, {tell_count(project.count, 'animal')}"
    )


def _read_animals(text: str) -> int | list[str]:
    """Read how many animals there are, or their names; a number is never a name."""
    try:
        number = float(text)
    except ValueError:
        return split_names(text)
    if not (number >= 1 and number.is_integer()):
        raise SettingsError(f"--individuals: wanted how many, 1 or more, or names, came {text!r}")
    return int(number)


@app.command("import")
def import_(
    folder: Dir,
    source: Annotated[Path, typer.Option("--from", help="labels of another tool")],
    count: Annotated[int | None, whole(least=1, help="frames to take, spread evenly")] = None,
    rename: Annotated[str, typer.Option(help="keypoints, old=new,...")] = "",
    individuals: Animals = None,
    keep_empty: Annotated[
        bool | None,
        typer.Option("--keep-empty/--drop-empty", help="frames without a mark hold no animal"),
    ] = None,
) -> None:
    """Bring labels from a DeepLabCut project, SLEAP, COCO, CVAT, Label Studio, LabelMe, YOLO, csv.

    Example: mapose import flies --from labels.slp --count 200
    """
    from mapose.project.importing import import_project

    names = dict(split_pairs(rename, "=", "--rename"))
    with show_progress("importing") as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        project, report = import_project(
            folder,
            source,
            count=count,
            rename=names,
            individuals=individuals,
            keep_empty=keep_empty,
            on_progress=show,
        )
    console.print(f"{project.path}: {report}")
    console.print(
        f"{tell_count(len(project.skeleton.keypoints), 'keypoint')}, "
        f"{tell_count(project.count, 'animal')}; "
        f"next: mapose train {folder}"
    )


@app.command()
def train(
    folder: Dir,
    preset: Annotated[
        str | None,
        typer.Option(
            help="pretrained (the default where installed) or small, both 10 to 20 minutes on two "
            "cores; large, a GPU or a night; or a file"
        ),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value")] = None,
    name: Annotated[str | None, typer.Option(help="of the new model")] = None,
    init: Annotated[
        str | None, typer.Option(help="model to start from: folder or zoo:NAME; keypoints by name")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the last run")] = False,
    folds: Annotated[
        int | None,
        whole(least=2, most=1000, help="cross-validate: so many models; goes on by itself"),
    ] = None,
    seeds: Annotated[
        int | None,
        whole(least=2, most=1000, help="so many models that differ in their seed; goes on"),
    ] = None,
    learning_curve: Annotated[
        str, typer.Option(help="models of so many labels each, 20,50,100; goes on by itself")
    ] = "",
    device: Device = None,
) -> None:
    """Train a network on the project's labels.

    The number of steps is chosen from the labels: 10 to 20 minutes on two processor cores. With
    --folds every labelled frame is tested by a model that was trained on the others, with --seeds
    all models are trained and tested on the same frames, to tell how much is chance, and with
    --learning-curve each on more labels than the one before.

    Several GPUs: torchrun --nproc-per-node 4 -m mapose train mice --name night. Each takes a part
    of the batch.

    Example: mapose train mice --init old-mice/models/small-3
    """
    from mapose.project.project import Project
    from mapose.training.team import is_assistant
    from mapose.training.training import train as train_model
    from mapose.zoo import find_model

    project = Project.load(folder)
    several = [("fold", folds), ("seed", seeds), ("curve", _read_counts(learning_curve))]
    chosen = [(kind, number) for kind, number in several if number]
    if resume and chosen:
        raise SettingsError("several models go on by themselves: leave --resume out")
    if len(chosen) > 1:
        raise SettingsError("--folds, --seeds, --learning-curve: one of them at a time")
    options: dict[str, Any] = {
        "preset": preset,
        "init": find_model(init) if init else None,
        "overrides": set_ or [],
        "device": device,
    }
    if is_assistant() and not chosen:  # of another process, which says all there is to say
        train_model(project, name, resume=resume, **options)
        return
    with show_progress("training") as (progress, task):
        options["on_progress"] = _make_show(progress, task)
        if chosen:
            found = _train_several(project, *chosen[0], name=name or chosen[0][0], **options)
        else:
            model = train_model(project, name, resume=resume, **options)
    if chosen:
        show_result(found, False)
    else:
        _show_model(model, folder)


def _train_several(project: Any, kind: str, number: Any, **options: Any) -> Any:
    """Train a model for each part of the labels, seed, or number of labels."""
    from mapose.training.folds import cross_validate, train_seeds
    from mapose.training.learning_curve import find_learning_curve, write_learning_curve
    from mapose.training.team import count_processes

    if count_processes() > 1:
        raise SettingsError("several processes train one model: leave --folds and the like out")
    if kind == "curve":
        found = find_learning_curve(project, number, **options)
        write_learning_curve(found, project.path / "evaluation")
        return found
    return (cross_validate if kind == "fold" else train_seeds)(project, number, **options)


def _read_counts(text: str) -> list[int]:
    """Read numbers of labels, separated by commas."""
    words = split_names(text) if text else []
    if not all(word.isdigit() for word in words):
        raise SettingsError(f"--learning-curve: wanted numbers like 20,50,100, came {text!r}")
    return [int(word) for word in words]


def _make_show(progress: Any, task: Any) -> Callable[[Any], None]:
    """Make what shows the progress of a training; at its first step it says how long all takes."""
    said: list[str] = []

    def show(p: Any) -> None:
        if not said and p.left > 0:  # NaN before the pace is known
            said.append(f"{p.steps} steps, at this pace about {max(1, round(p.left / 60))} min")
            progress.console.print(said[0])
        # Of 1000 parts of the work, not steps: the first ones are cheaper than the last.
        note = f"step {p.step} of {p.steps}, {p.note}"
        progress.update(task, completed=round(1000 * p.share), total=1000, note=note)

    return show


def _show_model(model: Any, folder: Path) -> None:
    from mapose.training.training import finds_nothing

    console.print(f"model {model.name}: {folder / 'models' / model.name}")
    parts = model.record["metrics"]
    for part, found in parts.items():
        if found["mean"] is None:
            console.print(f"{part} frames: no keypoint found")
        else:
            score = found["map"] or 0
            console.print(f"{part} frames: mean error {found['mean']:.2f} px, OKS mAP {score:.3f}")
    if finds_nothing(model):  # which has been told
        raise typer.Exit(1)
    console.print(f"next: mapose analyze {folder} VIDEO...", soft_wrap=True)


@app.command()
def evaluate(
    folder: Dir,
    model: Annotated[str, typer.Option(help="model name, or all: side by side")] = "",
    cutoff: Annotated[float, real(most=1, help="p-cutoff")] = 0.6,
    snapshots: Annotated[
        str, typer.Option(help="of one model's training: all, best, last or a step")
    ] = "",
    frames: Annotated[int, whole(help="frames drawn, the worst first")] = 200,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Compare a model with the labels: errors on train, validation and test frames.

    Tables, figures and the test frames, the worst first, are written beside the model. With
    --model all the models are compared on frames that none was trained on, too. --snapshots
    evaluates what a training has kept of its course (train.snapshots), each calibrated for itself.

    Example: mapose evaluate mice --model all
    """
    from mapose.project.project import Project
    from mapose.training.comparison import (
        compare_evaluations,
        evaluate_models,
        write_comparison,
    )

    project = Project.load(folder)
    if snapshots:
        _evaluate_snapshots(
            project, model, snapshots, cutoff=cutoff, device=device, as_json=as_json
        )
        return
    names = project.list_models() if model == "all" else [project.load_model(model or None).name]
    with show_progress("evaluating", after=QUICK) as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        found = evaluate_models(
            project, names, cutoff=cutoff, device=device, draw=frames, on_progress=show
        )
    results: dict[str, Any] = {name: one.to_dict() for name, one in found.items()}
    if not as_json:
        for name, one in found.items():
            console.print(f"model {name}")
            show_result(one, False)
            console.print(f"tables and pictures: {project.path / 'models' / name / 'evaluation'}")
    if len(found) > 1:
        compared = compare_evaluations(found, project.load_labels())
        place = write_comparison(compared, project.path / "evaluation")
        results = {"models": results, "comparison": compared.to_dict()}
        if not as_json:
            show_result(compared, False)
            console.print(f"as tables and a figure: {place}")
    if as_json:
        show_result(results, True)


def _evaluate_snapshots(
    project: Any, model: str, which: str, *, as_json: bool, **options: Any
) -> None:
    from mapose.training.snapshots import evaluate_snapshots, write_snapshots

    with show_progress("evaluating", after=QUICK) as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        found = evaluate_snapshots(project, model or None, which=which, on_progress=show, **options)
    place = write_snapshots(found, project.path / "models" / found.model / "evaluation")
    if not as_json:
        console.print(f"model {found.model}")
    show_result(found, as_json)
    if not as_json:
        console.print(f"as tables and a figure: {place}")
