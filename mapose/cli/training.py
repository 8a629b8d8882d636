"""Commands from labels to a network: new, import, train, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mapose.cli.application import Animals, Device, Dir, Json, app, split_names, split_pairs
from mapose.cli.terminal import QUICK, console, show_progress, show_result
from mapose.errors import SettingsError


@app.command()
def new(
    folder: Dir,
    keypoints: Annotated[str, typer.Option(help="names, separated by commas")],
    edges: Annotated[str, typer.Option(help="limbs, a-b,b-c")] = "",
    individuals: Annotated[str, typer.Option(help="how many animals, or their names")] = "1",
    videos: Annotated[list[Path] | None, typer.Option(help="video files; they stay")] = None,
) -> None:
    """Make a project.

    Example: mapose new mice --keypoints snout,tail --edges snout-tail --individuals 2
    """
    from mapose.project.project import Project
    from mapose.skeleton import Skeleton

    names = split_names(keypoints)
    mark = "-" if not any("-" in n for n in names) else ">"
    skeleton = Skeleton(names, split_pairs(edges, mark, "--edges"))
    count = int(individuals) if individuals.isdigit() else split_names(individuals)
    project = Project.create(folder, skeleton, individuals=count, videos=videos or [])
    console.print(f"{folder}: {len(names)} keypoints, {project.count} individuals")


@app.command("import")
def import_(
    folder: Dir,
    source: Annotated[Path, typer.Option("--from", help="labels of another tool")],
    count: Annotated[int | None, typer.Option(help="frames to take, spread evenly")] = None,
    rename: Annotated[str, typer.Option(help="keypoints, old=new,...")] = "",
    individuals: Animals = None,
    keep_empty: Annotated[
        bool | None,
        typer.Option("--keep-empty/--drop-empty", help="frames without a mark hold no animal"),
    ] = None,
) -> None:
    """Bring labels from a DeepLabCut project, a SLEAP file, COCO json or csv.

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
        f"{len(project.skeleton.keypoints)} keypoints, {project.count} individuals; "
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
        int | None, typer.Option(min=2, help="cross-validate: so many models; goes on by itself")
    ] = None,
    device: Device = None,
) -> None:
    """Train a network on the project's labels.

    The number of steps is chosen from the labels: 10 to 20 minutes on two processor cores. With
    --folds every labelled frame is tested by a model that was trained on the others.

    Example: mapose train mice --init old-mice/models/small-3
    """
    from mapose.project.project import Project
    from mapose.training.folds import cross_validate
    from mapose.training.training import train as train_model
    from mapose.zoo import find_model

    project = Project.load(folder)
    if resume and folds:
        raise SettingsError("--folds goes on by itself: leave --resume out")
    start = find_model(init) if init else None
    with show_progress("training") as (progress, task):
        said: list[str] = []

        def show(p: Any) -> None:
            if not said and p.left > 0:  # NaN before the pace is known
                said.append(f"{p.steps} steps, at this pace about {max(1, round(p.left / 60))} min")
                progress.console.print(said[0])
            # Of 1000 parts of the work, not steps: the first ones are cheaper than the last.
            note = f"step {p.step} of {p.steps}, {p.note}"
            progress.update(task, completed=round(1000 * p.share), total=1000, note=note)

        options: dict[str, Any] = {
            "preset": preset,
            "init": start,
            "overrides": set_ or [],
            "device": device,
        }
        if folds:
            found = cross_validate(project, folds, name=name or "fold", on_progress=show, **options)
        else:
            model = train_model(project, name, resume=resume, on_progress=show, **options)
    if folds:
        show_result(found, False)
        return
    console.print(f"model {model.name}: {folder / 'models' / model.name}")
    for part, found in model.record["metrics"].items():
        if found["mean"] is None:
            console.print(f"{part} frames: no keypoint found; train longer")
        else:
            score = found["map"] or 0
            console.print(f"{part} frames: mean error {found['mean']:.2f} px, OKS mAP {score:.3f}")


@app.command()
def evaluate(
    folder: Dir,
    model: Annotated[str, typer.Option(help="model name, or all")] = "",
    cutoff: Annotated[float, typer.Option(help="p-cutoff")] = 0.6,
    as_json: Json = False,
) -> None:
    """Compare a model with the labels: errors on train and test frames.

    Example: mapose evaluate mice --model all
    """
    from mapose.files import check_writable
    from mapose.locks import lock_output
    from mapose.project.project import Project
    from mapose.training.evaluation import evaluate as evaluate_model
    from mapose.training.evaluation import write_evaluation
    from mapose.training.training import read_images

    project = Project.load(folder)
    labels = project.load_labels()
    images = read_images(project, labels)
    results = {}
    for name in project.list_models() if model == "all" else [model or None]:
        with show_progress("evaluating", after=QUICK):
            loaded = project.load_model(name)
            place = project.path / "models" / loaded.name / "evaluation"
            with lock_output(place):
                check_writable(place)  # of the same disk, before any work
                found = evaluate_model(loaded, labels, images=images, cutoff=cutoff)
                write_evaluation(found, labels, place)
            results[loaded.name] = found.to_dict()
        if not as_json:
            console.print(f"model {loaded.name}")
            show_result(found, False)
            console.print(f"tables and pictures: {place}")
    if as_json:
        show_result(results, True)
