"""What a page looks like: it follows the colours of the system, and what is chosen is in sight."""

from mapose.project.project import Project
from mapose.skeleton import Skeleton
from tests.app.test_walk import page  # noqa: F401

# The brightest red of the first animal's name, beside its lane.
NAME = """() => {
  const copy = new OffscreenCanvas(60, 20).getContext('2d', { willReadFrequently: true });
  copy.drawImage(document.querySelector('canvas.lanes'), -18, 0);
  const data = copy.getImageData(0, 0, 60, 20).data;
  return Math.max(...[...data].filter((_, n) => n % 4 === 0 && data[n + 3] > 200)) }"""
CHOSEN = """() => { const box = (e) => document.querySelector(e).getBoundingClientRect();
  const list = box('.points'), one = box('.points [aria-pressed="true"]');
  return [document.querySelector('.points [aria-pressed="true"] .name').textContent,
    one.top >= list.top - 1 && one.bottom <= list.bottom + 1] }"""


def test_a_timeline_is_drawn_anew_when_the_system_turns_dark_or_light(page, workspace, walk):  # noqa: F811
    reds = []
    page.evaluate(f"location.hash = '/r/{workspace.open_result(walk).name}'")
    page.locator("canvas.lanes").wait_for()
    for scheme in ("dark", "light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(900)
        reds.append(page.evaluate(NAME))
    assert reds == [163, 85, 163]


def test_of_many_keypoints_the_one_that_is_next_is_in_sight(page, workspace, tmp_path, film):  # noqa: F811
    names = [f"k{n}" for n in range(40)]
    project = Project.create(tmp_path / "many", Skeleton(names, []), videos=[film])
    project = project.add_frames("film", [1])
    project.set_points("film", 1, dict.fromkeys(names[:35], (5, 5)))
    opened = workspace.open_project(project.path)
    page.evaluate(f"location.hash = '/p/{opened.name}/label'")
    page.locator(".points button").nth(39).wait_for(state="attached")
    page.wait_for_timeout(900)
    assert page.evaluate(CHOSEN) == ["k35", True]
    page.keyboard.press("x")
    page.wait_for_timeout(500)
    assert page.evaluate(CHOSEN) == ["k36", True]
