"""All that can be clicked on a page is reached by Tab and shows where the focus is."""

import shutil

import pytest

from calibration import make_ring
from mapose.project.project import Project
from tests.app.test_walk import page  # noqa: F401

# Elements are named by their place in the document, so that each is counted once.
LIST = """() => [...document.querySelectorAll(
    'a[href], button:not(:disabled), input:not(:disabled), select, summary, [tabindex="0"]')]
  .filter((e) => e.checkVisibility() && e.tabIndex >= 0 && !e.classList.contains('skip'))
  .map((e) => e.outerHTML.slice(0, 90))"""
HERE = """() => { const e = document.activeElement, s = getComputedStyle(e);
  return [e.outerHTML.slice(0, 90), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0,
    e === document.body] }"""


@pytest.fixture
def cameras(mice, film):
    """The project with a session of two calibrated cameras, and a model's name."""
    shutil.copy(film, film.with_name("side.mp4"))
    mice.add_session("may", {"cam0": film, "cam1": film.with_name("side.mp4")})
    (mice.path / "calibration").mkdir(exist_ok=True)
    make_ring(2).save(mice.path / "calibration" / "may.toml")
    return Project.load(mice.path)


def walk_by_tab(page):  # noqa: F811
    """Press Tab through a page once; give what had the focus, and what did not show it."""
    page.evaluate("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    reached, unseen = set(), set()
    for _ in range(160):
        page.keyboard.press("Tab")
        name, shown, ended = page.evaluate(HERE)
        if ended:
            break
        reached.add(name)
        if not shown:
            unseen.add(name)
    return reached, unseen


def test_everything_is_reached_by_tab_and_shows_its_focus(page, workspace, cameras, walk):  # noqa: F811
    opened = workspace.open_project(cameras.path)
    place = workspace.open_result(walk).name
    for address in (
        "/",
        "/new",
        f"/p/{opened.name}",
        f"/r/{place}",
        f"/p/{opened.name}/look",
        f"/p/{opened.name}/label",
    ):
        page.evaluate(f"location.hash = '{address}'")
        page.wait_for_timeout(900)
        wanted = set(page.evaluate(LIST))
        reached, unseen = walk_by_tab(page)
        assert len(wanted) > 2 and wanted <= reached, (address, wanted - reached)
        assert unseen == set(), address


def test_a_dialog_is_opened_filled_and_closed_by_keys(page, workspace, cameras):  # noqa: F811
    opened = workspace.open_project(cameras.path)
    page.evaluate(f"location.hash = '/p/{opened.name}'")
    button = page.get_by_role("button", name="Calibrate…")
    button.focus()
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    inside = "document.querySelector('dialog[open]').contains(document.activeElement)"
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(f"document.activeElement === document.body || {inside}")
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent") == "Calibrate…"


def test_points_are_set_in_two_views_by_keys(page, workspace, cameras):  # noqa: F811
    opened = workspace.open_project(cameras.path)
    page.evaluate(f"location.hash = '/p/{opened.name}/views/may/2'")
    page.get_by_text("Next: snout").wait_for()
    page.wait_for_timeout(500)
    page.keyboard.press("Enter")  # in the middle of the view that is active
    page.locator(".saved", has_text="saved ").wait_for()
    page.wait_for_timeout(300)
    marks = Project.load(cameras.path).read_state().marks
    assert [spots for spots in marks.values() if ("ann", "snout") in spots]
