"""Results on a drawn scene and on real recordings are those that were kept."""

import json

import pytest

from tests.benchmarks import compare_results


@pytest.fixture(scope="module")
def made(tmp_path_factory, recordings):
    folder = tmp_path_factory.mktemp("answers")
    compare_results.make(folder, recordings)
    return folder


def test_results_are_those_kept(made):
    assert compare_results.check(made) == []


def test_the_check_sees_what_moved(made, tmp_path, monkeypatch):
    answers = json.loads(compare_results.ANSWERS.read_text(encoding="utf8"))
    name = "mouse.mapose.h5: poses/array"
    answers[name]["quartiles"][0][1] += 1.0
    answers["scene.mapose.h5: doubts"]["shape"][0] += 1
    other = tmp_path / "answers.json"
    other.write_text(json.dumps(answers), encoding="utf8")
    monkeypatch.setattr(compare_results, "ANSWERS", other)
    faults = compare_results.check(made)
    assert [fault.partition(": wanted")[0].partition(": quartiles")[0] for fault in faults] == [
        name,
        "scene.mapose.h5: doubts",
    ]
