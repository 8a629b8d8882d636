"""What is handed to a queue, what its tasks do, and what is handed in again."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mapose
from mapose.cli import app
from mapose.cluster.slurm import find_states, read_sbatch
from mapose.cluster.submitting import QueueOptions, list_submissions
from mapose.errors import FormatError, SettingsError
from mapose.io import VideoWriter
from mapose.locks import lock_output
from mapose.project.project import Project
from tests.untrained import make_untrained

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SLURM runs on POSIX systems")

REAL = sys.executable
# Takes scripts in and does nothing with them; squeue has what lies in the file queue.
SBATCH = """#!/bin/bash
cd "$(dirname "$0")"
[ -e refuse ] && { echo "sbatch: error: no such partition" >&2; exit 1; }
echo "$2" >> scripts
echo "$((100 + $(wc -l < scripts)));cluster"
"""
SQUEUE = """#!/bin/bash
cd "$(dirname "$0")"
grep "^${4#--jobs=}_" queue || { echo "slurm_load_jobs error: Invalid job id" >&2; exit 1; }
"""
# In place of Python: says with what it was called.
PYTHON = """#!/bin/bash
printf '%s\\n' "$@" > "$(dirname "$0")/called"
echo "cores $MAPOSE_CORES"
"""


@pytest.fixture
def bin_(tmp_path, monkeypatch):
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "python": PYTHON}.items():
        (place / name).write_text(text, encoding="utf-8")
        (place / name).chmod(0o755)
    (place / "queue").touch()
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("mapose.cluster.slurm.sys.executable", str(place / "python"))
    return place


@pytest.fixture
def project(tmp_path):
    model = make_untrained(split={"train": [], "test": []})
    videos = [tmp_path / f"{name} of mice.mp4" for name in "abc"]
    for video in videos:
        with VideoWriter(video, 25) as writer:
            for level in range(5):
                writer.write(np.full((64, 64), 20 * level, np.uint8))
    made = Project.create(tmp_path / "p", model.skeleton, individuals=2, videos=videos)
    model.save(made.path / "models" / "small-1")
    return made


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def run_task(bin_, script, number):
    """Do what SLURM does with a task of an array; what it called, and what it said."""
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "SLURM_CPUS_PER_TASK": "3"}
    said = subprocess.run(["bash", script], env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return (bin_ / "called").read_text(encoding="utf-8").splitlines(), said.stdout


def find_folder(project):
    (submission,) = list_submissions(project.path)
    return submission.folder


def count_states(project):
    (submission,) = list_submissions(project.path)
    return [item.state for item in submission.items]


def test_what_is_missing_is_handed_in_again(bin_, project):
    options = ["--sbatch", "time=1:00:00", "--sbatch", "exclusive", "--setup", "module() { :; }"]
    done = run("submit", project.path, "--slurm", "--array-size", 2, *options)
    assert done.exit_code == 0, done.output
    folder = find_folder(project)
    script = folder / "job-1.sh"
    assert (bin_ / "scripts").read_text(encoding="utf-8").split("\n")[0] == str(script)
    text = script.read_text(encoding="utf-8")
    assert "#SBATCH --array=0-1\n" in text and "#SBATCH --time=1:00:00\n" in text
    assert "#SBATCH --exclusive\n" in text and "\nmodule() { :; }\n" in text
    called, said = run_task(bin_, script, 1)
    assert called[:4] == ["-m", "mapose", "analyze", str(project.path)] and "cores 3" in said
    assert called[-2] == "--model=small-1"
    assert Path(called[-1]).samefile(project.path.parent / "c of mice.mp4")
    assert run(*called[2:]).exit_code == 0
    assert (project.path / "results" / "c of mice.mapose.h5").is_file()

    (bin_ / "queue").write_text("101_0 RUNNING\n", encoding="utf-8")
    assert count_states(project) == ["running", "running", "done"]
    (bin_ / "queue").write_text("101_0 PENDING\n", encoding="utf-8")
    assert count_states(project) == ["waiting", "waiting", "done"]
    (bin_ / "queue").write_text("", encoding="utf-8")
    (folder / "logs" / "101_0.txt").write_text("...\nslurmstepd: error: TIME LIMIT\n\n")
    shown = run("jobs", project.path)
    assert "1 done, 2 missing" in shown.stdout and "slurmstepd: error: TIME LIMIT" in shown.stdout
    told = json.loads(run("jobs", project.path, "--json").stdout)
    assert [i["state"] for i in told["submissions"][0]["items"]] == ["missing", "missing", "done"]

    assert "2 tasks handed in again" in run("jobs", project.path, "--resubmit").stdout
    for number in (0, 1):
        called, _ = run_task(bin_, folder / "job-2.sh", number)
        assert run(*called[2:]).exit_code == 0
    assert count_states(project) == ["done"] * 3
    assert "0 tasks handed in again" in run("jobs", project.path, "--resubmit").stdout
    assert not (folder / "job-3.sh").exists()


def test_a_submission_that_was_cut_off_is_none_and_goes(bin_, project):
    """It is one from the moment that all of it is there; what the app keeps there stays."""
    jobs = project.path / "jobs"
    (jobs / "20260101-000000-analyze" / "logs").mkdir(parents=True)
    (jobs / "20260101-000000-analyze" / "job-1.sh").touch()
    (jobs / "20260101-000001-analyze").mkdir()
    (jobs / "20260101-000002-train").mkdir()
    (jobs / "20260101-000002-train" / "job.json").touch()
    assert run("submit", project.path).exit_code == 0
    left = sorted(p.name for p in jobs.iterdir())
    assert left == ["20260101-000002-train", find_folder(project).name]
    # One that the queue does not take is there all the same, to be handed in again.
    (bin_ / "refuse").touch()
    assert run("submit", project.path, "--slurm").exit_code == 1
    (bin_ / "refuse").unlink()
    assert len(list_submissions(project.path)) == 2
    assert run("jobs", project.path, "--resubmit").stdout.count("3 tasks handed in again") == 2
    assert all(sub.folder.joinpath("job-1.sh").is_file() for sub in list_submissions(project.path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("submit {p} {p}/gone.mp4", "gone.mp4 is not there; nothing was handed in"),
        ("submit train {p}x --name night", "not a project"),
        ("submit train {p} --name ../night", "--name: wanted the name of a folder"),
        ("submit train {p} --name night --preset smal", "did you mean 'small'"),
        ("submit train {p} --name night --set train.step=3", "did you mean 'steps'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_handed_in(bin_, project, words, message):
    done = run(*words.format(p=project.path).split())
    assert isinstance(done.exception, SettingsError) and message in str(done.exception)
    assert not list_submissions(project.path) and not Path(f"{project.path}x").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"attempts": [[]]}, {"attempts": [{"job": 1}]}, {"items": ["a.mp4"]}, {"items": [["a", 1]]},
        {"array": 0}, {"words": [2]}, {"kind": "x"}, {"model": None}, {"sbatch": []},
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_told(bin_, project, change):
    run("submit", project.path)
    place = find_folder(project) / "manifest.json"
    place.write_text(json.dumps(json.loads(place.read_text("utf-8")) | change), encoding="utf-8")
    with pytest.raises(FormatError, match="does not say what was handed in"):
        list_submissions(project.path)


def test_what_another_model_has_made_is_not_done(bin_, project):
    assert run("analyze", project.path).exit_code == 0
    run("submit", project.path)
    assert count_states(project) == ["done"] * 3
    make_untrained(lively=True, split={"train": [], "test": []}).save(
        project.path / "models" / "small-2"
    )
    run("submit", project.path, "--model", "small-2")
    assert [i.state for i in list_submissions(project.path)[1].items] == ["missing"] * 3


def test_who_works_on_a_result_is_seen_without_the_queue(bin_, project):
    run("submit", project.path)
    other = "import sys, time; from mapose.locks import lock_output\n"
    other += "with lock_output(sys.argv[1]): print('locked', flush=True); time.sleep(60)"
    place = project.path / "results" / "a of mice.mapose.h5"
    with subprocess.Popen([REAL, "-c", other, place], stdout=subprocess.PIPE) as worker:
        try:
            assert worker.stdout.readline() == b"locked\n"
            assert count_states(project) == ["running", "missing", "missing"]
        finally:
            worker.kill()
    with lock_output(place):
        pass


def test_a_training_goes_on_by_itself(bin_, project):
    words = ["submit", "train", project.path, "--name", "night", "--set", "train.steps=3"]
    done = run(*words, "--slurm", "--sbatch", "gres=gpu:1")
    assert done.exit_code == 0, done.output
    script = find_folder(project) / "job-1.sh"
    called, _ = run_task(bin_, script, 0)
    begin = ["-m", "mapose", "train", str(project.path), "--name", "night"]
    assert called == [*begin, "--set=train.steps=3"]
    (project.path / "models" / "night").mkdir()
    (project.path / "models" / "night" / "state.yaml").touch()
    called, _ = run_task(bin_, script, 0)
    assert called == [*begin, "--resume"]
    assert count_states(project) == ["missing"]
    (project.path / "models" / "night" / "model.yaml").touch()
    assert count_states(project) == ["done"]
    fault = run(*words).exception
    assert isinstance(fault, SettingsError) and "already" in str(fault)


def test_without_a_project_it_lies_where_one_is(bin_, project, tmp_path, monkeypatch):
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    (place / "model").symlink_to(project.path / "models" / "small-1")
    videos = os.path.relpath(tmp_path / "a of mice.mp4")
    assert "next: sbatch" in run("submit", "model", videos, "-o", "out", "--individuals", 2).stdout
    (submission,) = list_submissions(place)
    called, _ = run_task(bin_, submission.folder / "job-1.sh", 0)
    assert called[2:-1] == [
        "analyze", str(place / "model"), "--individuals=2", f"--output={place / 'out'}"
    ]  # fmt: skip
    assert "nothing was handed in" in str(run("jobs", tmp_path).exception)


def test_what_the_queue_does_not_take_is_told(bin_, project, monkeypatch):
    (bin_ / "refuse").touch()
    fault = run("submit", project.path, "--slurm").exception
    assert isinstance(fault, SettingsError) and "no such partition" in str(fault)
    monkeypatch.setenv("PATH", "")
    assert find_states(["1"]) == {}
    fault = run("submit", project.path, "--slurm").exception
    assert isinstance(fault, SettingsError) and re.search(r"no sbatch here.*job-1\.sh", str(fault))


@pytest.mark.parametrize("text", ["time 4", "array=0-3", "TIME=1", "comment=a\nrm"])
def test_options_of_sbatch_that_are_none_are_refused(text):
    with pytest.raises(SettingsError, match="--sbatch"):
        read_sbatch([text])


def test_python_hands_in_as_well(bin_, project):
    tasks = mapose.plan_analyses(project.path)
    folder = mapose.submit_analyses(
        tasks, ["analyze", str(project.path)], project.path, queue=QueueOptions(tasks=2)
    )
    assert (folder / "videos-1.txt").read_text(encoding="utf-8").count("\n") == 3
    assert mapose.submit_training(project.path, "x").parent == folder.parent
