"""No command writes over its inputs or over what somebody else made, whatever the spelling."""

import inspect
import os
import shutil
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from calibration import CalibrationError
from calibration.synthetic import make_ring
from mapose.cli import app
from mapose.doubts import Doubt
from mapose.edits import Edit, find_edits_path, load_edits, save_edits
from mapose.errors import MaposeError, SettingsError
from mapose.files import check_output, name_work, read_mark
from mapose.io import VideoWriter, load_provenance, read, save, write, write_image
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained

# What a command reads by an option or argument of type Path, and the folders that it works in.
READ = {
    "analyze": "videos", "train": "folder", "evaluate": "folder", "new": "folder videos",
    "extract": "folder", "propose": "folder", "refine": "folder against calibration",
    "import": "folder source", "track": "files gallery video", "render": "paths",
    "plot": "files", "metrics": "truth files", "export": "files video", "video": "videos",
    "crop": "project", "demo": "folder",
    "swaps": "file video", "swap": "file", "edit": "file", "name": "file",
    "gallery add": "gallery file video",
    "add": "folder", "info": "path", "history": "folder", "restore": "folder",
    "merge": "folder other", "relink": "folder place", "skeleton": "folder", "delete": "folder",
    "gallery list": "gallery", "models list": "folder", "models compare": "folder",
    "calibrate": "lenses check times", "world": "calibration points",
    "triangulate": "calibration times",
    "filter": "files", "kinematics": "files zones", "zoo add": "card head",
    "zip": "folder", "run": "tree", "live": "calibration join",
    # Where the tasks write, each with checks of its own.
    "submit": "videos output", "jobs": "folder", "doctor": "video",
    "app": "folder root", "label": "folder root", "proofread": "file root",
}  # fmt: skip
# Every option that names an output: the words before it, the inputs, and, where it is a folder,
# what is written there.
CASES: dict[tuple[str, str], list[tuple[str, str, str]]] = {
    ("analyze", "output"): [("analyze model walk.mp4", "walk.mp4", "walk.mapose.h5")],
    ("track", "output"): [
        ("track walk.mapose.h5", "walk.mapose.h5 walk.edits.csv", ""),
        (
            "track walk.mapose.h5 --gallery mice.gallery --video walk.mp4",
            "walk.mapose.h5 mice.gallery walk.mp4",
            "",
        ),
    ],
    ("filter", "output"): [("filter walk.mapose.h5", "walk.mapose.h5 walk.edits.csv", "")],
    ("video", "output"): [("video walk.mp4 --stop 9", "walk.mp4", "")],
    ("kinematics", "output"): [("kinematics walk.mapose.h5", "walk.mapose.h5 walk.edits.csv", "")],
    ("kinematics", "plots"): [
        ("kinematics walk.mapose.h5", "walk.mapose.h5 walk.edits.csv", "speeds.png")
    ],
    ("render", "output"): [
        ("render walk.mp4 walk.mapose.h5", "walk.mp4 walk.mapose.h5 walk.edits.csv", "")
    ],
    ("plot", "output"): [
        ("plot walk.mapose.h5", "walk.mapose.h5 walk.edits.csv", name)
        for name in ("trajectories.png", "histograms.png")
    ],
    ("export", "output"): [
        ("export walk.mapose.h5 --to slp", "walk.mapose.h5 walk.edits.csv", ""),
        ("export dlc.csv --to csv", "dlc.csv", ""),
        ("export dlc.csv --to coco --video walk.mp4", "dlc.csv walk.mp4", ""),
    ],
    ("models export", "output"): [
        ("models export model --to torchscript", "model/weights.safetensors model/model.yaml", "")
    ],
    ("zoo add", "output"): [
        ("zoo add model --card board.toml", "model/weights.safetensors board.toml", "")
    ],
    ("live", "output"): [
        (
            "live --rehearse --model model --source a=walk.mp4 --calibration rig.toml",
            "walk.mp4 rig.toml model/weights.safetensors",
            "",
        )
    ],
    ("live", "record"): [("live --model model --source walk.mp4", "walk.mp4", "camera.mkv")],
    ("zip", "output"): [("zip packed", "packed/mapose.yaml walk.mp4", "")],
    ("swaps", "pictures"): [
        (
            "swaps walk.mapose.h5",
            "walk.mapose.h5 walk.edits.csv walk.mp4",
            "001-frame000030-x-y.png",
        )
    ],
    ("calibrate", "output"): [
        ("calibrate --board board.toml a=a.mp4 b=b.mp4", "a.mp4 b.mp4 board.toml", ""),
        ("calibrate --board chessboard:9x6:30mm a=a.mp4 --lens a=b.mp4", "a.mp4 b.mp4", ""),
        ("calibrate --board chessboard:9x6:30mm a=photos b=a.mp4", "photos/1.jpg", ""),
        ("calibrate --board chessboard:9x6:30mm a=photos/*.jpg", "photos/1.jpg", ""),
        (
            "calibrate --from-poses --lenses rig.toml a=walk.mapose.h5 b=view.mapose.h5",
            "walk.mapose.h5 view.mapose.h5 walk.edits.csv rig.toml",
            "",
        ),
    ],
    ("world", "output"): [
        ("world rig.toml --origin 0,0,0 --x 9,0,0 --y 0,9,0", "rig.toml", ""),
        (
            "world rig.toml --origin a --x b --y c --points walk.mapose.h5",
            "rig.toml walk.mapose.h5 walk.edits.csv",
            "",
        ),
        ("world rig.toml --board board.toml a=a.mp4", "rig.toml a.mp4 board.toml", ""),
    ],
    ("calibrate", "repair"): [
        (
            "calibrate --check rig.toml a=walk.mapose.h5 b=view.mapose.h5",
            "walk.mapose.h5 view.mapose.h5 walk.edits.csv rig.toml",
            "",
        )
    ],
    ("calibrate", "print_"): [("calibrate --board board.toml", "board.toml", "")],
    ("triangulate", "output"): [
        (
            "triangulate a=walk.mapose.h5 b=view.mapose.h5 --calibration rig.toml",
            "walk.mapose.h5 view.mapose.h5 walk.edits.csv rig.toml",
            "",
        )
    ],
}


def find_commands(group: Any, name: str = "") -> dict[str, Any]:
    if not hasattr(group, "commands"):
        return {name: group}
    found = {}
    for word, command in group.commands.items():
        found |= find_commands(command, f"{name} {word}".strip())
    return found


def find_paths(command: Any) -> set[str]:
    """Find the parameters of a command that hold paths, by the hints of its function."""
    hints = typing.get_type_hints(inspect.unwrap(command.callback))

    def holds_path(hint: Any) -> bool:
        return hint is Path or any(map(holds_path, typing.get_args(hint)))

    return {name for name, hint in hints.items() if holds_path(hint)}


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def run_well(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output or result.exception
    return result.output


def make_walk(shift: float = 0) -> Poses:
    array = np.ones((60, 2, 2, 3), np.float32)
    array[..., 0] = 20 + shift + np.arange(60)[:, None, None] / 2 + [0, 5]
    array[..., 1] = np.array([[20], [40]]) + [0, 5]
    return Poses(array, Skeleton(["a", "b"], [("a", "b")]), ["x", "y"], rate=30)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """One small file of every kind that commands read; what they need not open is rubbish."""
    folder = tmp_path_factory.mktemp("made")
    doubt = Doubt(25, 35, ("x", "y"), 0.27)
    save(make_walk(), folder / "walk.mapose.h5", doubts=[doubt])
    save_edits([Edit(10, ("x", "y"), "keep")], folder / "walk.edits.csv")
    save(make_walk(3), folder / "view.mapose.h5")
    write(make_walk(), folder / "dlc.csv", "dlc-csv")
    for name in ("walk.mp4", "other.mp4"):
        with VideoWriter(folder / name, 30) as writer:
            for level in range(60):
                writer.write(np.full((64, 96), level + len(name), np.uint8))
    make_untrained().save(folder / "model")
    make_ring(2).save(folder / "rig.toml")
    Project.create(folder / "packed", make_walk().skeleton, videos=[folder / "walk.mp4"])
    (folder / "photos").mkdir()
    for name in ("a.mp4", "b.mp4", "board.toml", "mice.gallery", "photos/1.jpg"):
        (folder / name).write_text(f"not to be opened: {name}", encoding="utf-8")
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    """Go to a folder of one's own with all these files."""
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def look(folder: Path) -> dict[str, bytes]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def link_hard(link: Path, file: Path) -> Path:
    os.link(file, link)
    return link


def link_softly(link: Path, file: Path) -> Path:
    try:
        link.symlink_to(file)
    except OSError:  # Windows, without the right to
        pytest.skip("no symbolic links here")
    return link


def change_case(link: Path, file: Path) -> Path:
    other = file.with_name(file.name.swapcase())
    if not other.exists():
        pytest.skip("names that differ in case are different files here")
    return other


def spell_relatively(link: Path, file: Path) -> Path:
    return Path(f"photos/../{os.path.relpath(file)}")


def spell_fully(link: Path, file: Path) -> Path:
    return file.resolve()


SPELLINGS: list[Callable[[Path, Path], Path]] = [
    spell_fully, spell_relatively, link_softly, link_hard, change_case
]  # fmt: skip


def test_every_option_that_writes_is_known():
    """A new option of type Path has to be put among those that read or those that write."""
    commands = find_commands(typer.main.get_command(app))
    assert set(READ) <= set(commands)
    unknown, outputs = [], set()
    for name, command in commands.items():
        options = {o for p in command.params for o in p.opts}
        writes = {p.name for p in command.params if (name, p.name) in CASES}
        outputs |= {(name, option) for option in writes}
        paths = find_paths(command)
        paths |= {p.name for p in command.params if {"-o", "--output"} & set(p.opts)}
        unknown += [(name, p) for p in paths - writes - set(READ.get(name, "").split())]
        assert not writes or "--force" in options, name
    assert unknown == [] and outputs == set(CASES)


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize(("command", "option"), CASES)
def test_an_input_is_never_written_over(place, command, option, spell, force):
    flag = "-o" if option == "output" else f"--{option.rstrip('_')}"
    for number, (words, inputs, inside) in enumerate(CASES[command, option]):
        for name in inputs.split():
            link = place / f"out{number}-{name.replace('/', '-')}"
            if option == "print_":
                link = link.with_suffix(".pdf")
            if inside:  # the output is a folder: what is written in it would be the input
                link.mkdir()
                link = link / inside
            target = spell(link, place / name)
            if inside and target == link:
                target = target.parent
            before = look(place)
            result = run(*words.split(), flag, target, *force)
            assert isinstance(result.exception, SettingsError), (words, name, result.output)
            assert "is read" in str(result.exception) or "is a file" in str(result.exception)
            assert look(place) == before


@pytest.mark.parametrize("view", ["a", "b"])
def test_corrected_views_do_not_replace_the_views_that_are_read(place, view):
    (place / "s.views").mkdir()
    os.link("walk.mapose.h5", place / "s.views" / f"{view}.mapose.h5")
    words = "triangulate a=walk.mapose.h5 b=view.mapose.h5 --calibration rig.toml -o s.mapose.h5"
    assert "is read" in str(run(*words.split(), "--force").exception)


@pytest.mark.parametrize("ending", [".report.txt", ".report.json", ".report.png"])
def test_reports_of_a_calibration_do_not_replace_what_is_read(place, ending):
    os.link("a.mp4", place / f"calibration{ending}")
    words = "calibrate --board chessboard:9x6:30mm a=a.mp4 b=b.mp4 --force"
    assert "is read" in str(run(*words.split()).exception)


def test_a_gallery_is_no_input_and_no_other_file(place):
    before = look(place)
    for gallery in ("walk.mapose.h5", "walk.mp4", "walk.edits.csv", "photos/../walk.mp4"):
        fault = run("gallery", "add", gallery, "walk.mapose.h5").exception
        assert isinstance(fault, SettingsError) and "is read" in str(fault)
    fault = run("gallery", "add", "board.toml", "walk.mapose.h5").exception
    assert isinstance(fault, MaposeError) and "not a file of mapose" in str(fault)
    assert look(place) == before


@pytest.mark.parametrize(
    "words",
    [
        "new DIR --keypoints a,b",
        "import DIR --from dlc.csv",
        "demo DIR",
    ],
)
def test_a_new_project_needs_a_new_folder(place, words):
    before = look(place)
    result = run(*words.replace("DIR", "photos").split())
    assert isinstance(result.exception, SettingsError) and look(place) == before


REFRESHED = [
    ("render walk.mp4 walk.mapose.h5", "walk.labelled.mp4"),
    ("plot walk.mapose.h5", "walk-plots/positions.png"),
    ("video walk.mp4 --stop 9", "walk.cut.mp4"),
    ("zoo add model -o model.zip", "model.zip"),
    ("export walk.mapose.h5 --to slp", "walk.slp"),
    ("export walk.mapose.h5 --to coco", "walk.json"),
    ("export walk.mapose.h5 --to dlc-h5", "walk.h5"),
    ("export walk.mapose.h5 --to movement", "walk.nc"),
    ("export walk.mapose.h5 --to nwb", "walk.nwb"),
    ("track walk.mapose.h5", "walk.tracked.mapose.h5"),
    ("filter walk.mapose.h5", "walk.filtered.mapose.h5"),
    ("kinematics walk.mapose.h5 -o k.nc", "k.nc"),
    ("swaps walk.mapose.h5 --pictures doubtful", "doubtful/001-frame000030-x-y.png"),
    ("calibrate --board chessboard:9x6:30mm --print board.pdf", "board.pdf"),
    ("calibrate --board chessboard:9x6:30mm --print board.png", "board.png"),
    ("world rig.toml --origin 0,0,0 --x 9,0,0 --y 0,9,0 -o cage.toml", "cage.toml"),
    (
        "triangulate a=walk.mapose.h5 b=view.mapose.h5 --calibration rig.toml "
        "-o session.mapose.h5 --trust-names",
        "session.views/a.mapose.h5",
    ),
]


@pytest.mark.filterwarnings("ignore")  # of the libraries that write nwb
@pytest.mark.parametrize(("words", "output"), REFRESHED, ids=[o for _, o in REFRESHED])
def test_what_a_command_made_it_makes_again_and_nobody_elses(place, words, output):
    make_ring(2).save("rig.toml")
    names = make_ring(2).names
    words = words.replace("a=", f"{names[0]}=").replace("b=", f"{names[1]}=")
    file = place / output.replace("views/a", f"views/{names[0]}")
    run_well(*words.split())
    first = read_mark(file)
    assert first and first.startswith("mapose " + words.split()[0])
    run_well(*words.split())  # made by the same command of the same inputs: made afresh
    file.write_bytes(b"a person's own")
    fault = run(*words.split()).exception
    assert isinstance(fault, SettingsError) and "--force" in str(fault)
    assert file.read_bytes() == b"a person's own"
    run_well(*words.split(), "--force")
    assert read_mark(file) == first


@pytest.mark.parametrize(("to", "name"), [("csv", "walk.csv"), ("dlc-csv", "walk.dlc.csv")])
def test_tables_that_cannot_say_whose_they_are_are_kept(place, to, name):
    run_well("export", "walk.mapose.h5", "--to", to)
    Path(name).write_text("corrected by hand", encoding="utf-8")
    assert "--force" in str(run("export", "walk.mapose.h5", "--to", to).exception)
    assert Path(name).read_text(encoding="utf-8") == "corrected by hand"
    run_well("export", "walk.mapose.h5", "--to", to, "--force")
    assert len(read(name)) == 60


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        ("render walk.mp4 walk.mapose.h5 -o o.mp4", "render other.mp4 walk.mapose.h5 -o o.mp4",
         r"walk\.mp4.*other\.mp4"),
        ("render walk.mp4 walk.mapose.h5", "render walk.mp4 view.mapose.h5",
         r"walk\.mapose.*view\.mapose"),
        ("render walk.mp4 walk.mapose.h5", "render walk.mp4 walk.mapose.h5 --start 5 --stop 9",
         r"frames 5-9"),
        ("track walk.mapose.h5", "track walk.mapose.h5 --animals 3", "individuals 3"),
        ("filter walk.mapose.h5", "filter walk.mapose.h5 --method median", "kalman.*median"),
        ("track walk.mapose.h5 -o t.mapose.h5", "track view.mapose.h5 -o t.mapose.h5",
         r"walk\.mapose.*view\.mapose"),
        ("track walk.mapose.h5 -o t.mapose.h5", "export walk.mapose.h5 --to mapose -o t.mapose.h5",
         "mapose track of .*mapose export of"),
        ("video walk.mp4 -o o.mp4", "video walk.mp4 -o o.mp4 --scale 0.5", "scale 0.5"),
        ("plot walk.mapose.h5 -o p", "plot view.mapose.h5 -o p", r"walk\.mapose.*view\.mapose"),
        ("analyze model walk.mp4 -o .", "analyze model walk.mp4 -o . --force",
         "mapose of files that it does not name.*mapose analyze of"),
    ],
)  # fmt: skip
def test_results_of_something_else_are_kept_and_both_are_named(place, one, two, told):
    if one.startswith("analyze"):
        two, one = one, "track view.mapose.h5"
    run_well(*one.split())
    before = look(place)
    with pytest.raises(SettingsError, match=f"made by.*{told}"):
        CliRunner().invoke(app, two.split(), catch_exceptions=False)
    assert look(place) == before


def test_analyses_of_two_videos_of_one_name_are_refused_before_any_work(place):
    shutil.copy("other.mp4", "walk.mkv")
    Path("sub").mkdir()
    shutil.copy("other.mp4", "sub/Walk.mp4")
    before = look(place)
    for words in ("walk.mp4 walk.mkv", "walk.mp4 sub/Walk.mp4 -o results"):
        fault = run("analyze", "model", *words.split()).exception
        assert isinstance(fault, SettingsError)
        assert "walk.mp4 and" in str(fault) and look(place) == before
    fault = run("track", "walk.mapose.h5", "walk.mkv").exception
    assert "walk.mkv" in str(fault) and look(place) == before


def test_results_of_another_model_or_recording_are_kept(place):
    """Also what is unfinished; edits of the one recording are not applied to the other."""
    run_well("analyze", "model", "other.mp4")
    result = Path("other.mapose.h5")
    first = result.read_bytes()
    run_well("analyze", "model", "other.mp4")  # no new work
    assert result.read_bytes() == first
    fault = str(run("analyze", "model", "other.mp4", "--animals", 1).exception)
    assert "individuals 2" in fault and "individuals 1" in fault and "model" in fault
    save_edits([Edit(10, ("track0", "track1"), "keep")], find_edits_path(result))
    shutil.copy("walk.mp4", "other.mp4")
    fault = str(run("analyze", "model", "other.mp4").exception)
    assert "fingerprint" in fault and result.read_bytes() == first
    assert len(load_edits(find_edits_path(result))) == 1
    run_well("analyze", "model", "other.mp4", "--force")
    assert load_edits(find_edits_path(result)) == []
    assert len(load_edits("other.edits.replaced1.csv")) == 1
    # Of the same recording, edits stay, and the command says so.
    save_edits([Edit(10, ("track0", "track1"), "keep")], find_edits_path(result))
    assert "1 correction" in run_well("analyze", "model", "other.mp4", "--force", "--animals", 1)
    assert len(load_edits(find_edits_path(result))) == 1
    assert load_provenance(result)["job"]["individuals"] == 1


def test_marks_survive_any_name_and_place(tmp_path):
    for name in ("Mäuse [1] (50 %).mp4", "鼠\\'\".mp4".replace("\\", "").replace('"', "")):
        made = name_work("render", [tmp_path / name], frames="1-2")
        with VideoWriter(tmp_path / "o.mkv", 25, made=made) as writer:
            writer.write(np.zeros((32, 32), np.uint8))
        assert read_mark(tmp_path / "o.mkv") == made and name in made


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="this is none"):
        check_output(tmp_path / "folder", force=True)
    if Path(os.devnull).exists():
        with pytest.raises(SettingsError):
            check_output(os.devnull, force=True)
    with pytest.raises(SettingsError, match="no folder"):
        check_output(tmp_path / "none" / "file.csv")


def test_a_note_of_a_calibration_is_a_comment(tmp_path):
    cameras = make_ring(2)
    cameras.save(tmp_path / "c.toml", note="[made by mapose x]")
    assert type(cameras).load(tmp_path / "c.toml").to_toml() == cameras.to_toml()
    with pytest.raises(CalibrationError, match="cannot write"):
        cameras.save(tmp_path / "none" / "c.toml")


def test_an_import_loses_nothing_of_what_is_there(place):
    """Another recording of the same name gets its own; another picture is refused."""
    array = make_walk().points[:4]
    labels = Labels(
        array, make_walk().skeleton, videos=("walk",) * 4, frames=np.arange(4), images=(None,) * 4,
        individuals=("x", "y"), identified=True, sources={"walk": place / "walk.mp4"},
    )  # fmt: skip
    project = Project.create(place / "mice", labels.skeleton, individuals=2)
    (project.path / "labels" / "walk").mkdir()
    picture = project.path / "labels" / "walk" / "frame000002.png"
    write_image(np.full((64, 96), 200, np.uint8), picture)
    drawn = picture.read_bytes()
    with pytest.raises(SettingsError, match="shows something else"):
        import_labels(project, labels)
    assert picture.read_bytes() == drawn
    picture.unlink()
    assert import_labels(project, labels).taken == 4  # goes on with the images that are there
    project = Project.load(project.path)
    (place / "other lab").mkdir()
    shutil.copy("other.mp4", "other lab/walk.mp4")
    strange = replace(
        labels, frames=labels.frames + 9, sources={"walk": Path("other lab/walk.mp4")}
    )
    assert import_labels(project, strange).taken == 4
    there = Project.load(project.path)
    assert sorted(there.videos) == ["other lab-walk", "walk"]
    assert there.find_video("other lab-walk").samefile(place / "other lab" / "walk.mp4")
    assert sorted(set(there.load_labels().videos)) == ["other lab-walk", "walk"]
    report = import_labels(project, replace(labels, points=labels.points + 5))
    assert report.twice == 4  # what is labelled already stays as it was
    kept = project.load_labels()
    own = [row for row, video in enumerate(kept.videos) if video == "walk"]
    np.testing.assert_allclose(kept.points[own], array, atol=1e-3)
