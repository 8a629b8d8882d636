from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"

# What a notebook says in words, asked of what it has found: run in its kernel, after its last cell.
CHECKS = {
    "01_quickstart": """
assert poses.array.shape[:2] == (80, 2) and poses.identity is not None
assert compare_poses(truth, poses, leave_out=trained).similarity.map > 0.8
""",
    "02_calibrate_and_reconstruct": """
assert off.max() < 5 and np.nanmedian(error) < 5 and right > 0.95
""",
    "03_social_interactions": """
before, after, best = (track_scores(truth, shown) for shown in (wrong, corrected, poses))
assert best.idp > 0.98, "the tracker was right: what is missing is missed, not misnamed"
assert before.idf1 < after.idf1 - 0.05 and after.idf1 > best.idf1 - 0.01
# The edit is about the first of the list, before and after which names are certain now.
edit = list_edits(result)[0]
assert edit.individuals == doubt.individuals and edit.span[0] < doubt.frame < edit.span[1]
assert (corrected.identity[list(edit.span)] == 1).all()
assert doubt.frame not in [d.frame for d in mapose.find_doubtful(result)]
np.testing.assert_array_equal(mapose.load(result, raw=True).array, wrong.array)  # stays
# What the mice did, measured on the exact poses of both.
exact = scene.truth(occluded=False).sel(keypoint=list(trunk.skeleton.keypoints))
assert abs(np.nanmedian(centres) - np.nanmedian(kinematics.find_distances(exact)[:, 0, 1])) < 10
touched, wanted = (
    np.isin(exact.frames, np.concatenate([np.arange(b.first, b.last + 1) for b in found]))
    for found in (bouts["contact"], kinematics.find_proximity(exact, within=15, min_duration=0.4))
)
assert (touched & wanted).sum() > 0.75 * max(touched.sum(), wanted.sum())
assert all(bouts.values()) and set(table.who) == {"Ann - Bob", "Ann > Bob", "Bob > Ann"}
assert (occupancy.seconds.sum((1, 2)) > 100).all()
""",
    "04_refine": """
assert len(set(chosen)) == 8 and set(wrong) <= {outlier.frame for outlier in outliers}
reasons = {outlier.frame: outlier.describe() for outlier in outliers}
assert "jumps" in reasons[40] and "nose" in reasons[110] and "low confidence" in reasons[250]
assert len(labels) == 12 and set(labels.frames) == {*chosen, *frames}
seen = np.isfinite(truth.points[labels.frames])
np.testing.assert_allclose(labels.points[seen], truth.points[labels.frames][seen], atol=0.001)
assert project.skeleton.keypoints[0] == "nose" and "undo" in str(project.history(1)[0])
""",
    "05_many_videos": """
assert [o.state for o in report.outcomes] == ["done"] * 3 + ["failed"]
assert sum(o.frames for o in report.outcomes) == 36
assert all(o.output.split(", ")[-3:] == ["triangulate", "kinematics", "export csv"]
           for o in first.outcomes)
assert [o.state for o in again.outcomes] == ["unchanged"] * 2
reasons = {(Path(i.name).name, i.step): i.reason for i in mapose.plan_sessions(sessions).intentions}
assert {key for key, why in reasons.items() if why} == {
    ("tuesday", "kinematics"), ("tuesday", "export csv")}
assert [item.state for item in open_submission(handed).items] == ["done"] * 3
assert "#SBATCH --array=0-2" in (handed / "job-1.sh").read_text()
""",
}


@pytest.mark.filterwarnings("ignore")  # of the kernel's machinery, not of ours
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_run_and_tell_the_truth(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert cells and not any(c.outputs or c.execution_count for c in cells)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECKS[path.stem]))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(c.execution_count for c in cells)
