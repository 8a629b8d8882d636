"""A checker of accessibility, axe, finds no fault: contrast, names, structure; dark and light."""

import pytest

from mapose.app.live import LiveView
from tests.app.test_keyboard import cameras  # noqa: F401
from tests.app.test_live import make_answer
from tests.app.test_scene import place  # noqa: F401
from tests.app.test_walk import page  # noqa: F401
from tests.untrained import make_untrained

#: Its rules for what the guidelines (WCAG 2.2, A and AA) ask for, and what is held to be good use.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def check(page):  # noqa: F811
    """Check what is on the page, dark and light; what is wrong, in words."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def check(where):
        faults = []
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            found = axe.run(page, options={"runOnly": {"type": "tag", "values": RULES}})
            assert len(found.response["passes"]) > 5, where  # there was something to check
            faults += [
                f"{where}, {scheme}: {fault['id']}: {node['html'][:120]}"
                for fault in found.response["violations"]
                for node in fault["nodes"]
            ]
        return faults

    return check


def test_no_page_has_a_fault(page, check, workspace, cameras, walk, place):  # noqa: F811
    opened = workspace.open_project(cameras.path)
    workspace.live = view = LiveView()
    view.send(make_answer(1))
    pages = ["", "/label", "/refine", "/views/may/2", "/proofread", "/look"]
    addresses = ["/", "/new", "/live", f"/r/{workspace.open_result(walk).name}", f"/s/{place[0]}"]
    faults = []
    for address in (*addresses, *(f"/p/{opened.name}{end}" for end in pages)):
        page.evaluate(f"location.hash = '{address}'")
        page.wait_for_timeout(900)
        faults += check(address)
    view.close()
    assert faults == []


def test_no_dialog_has_a_fault(page, check, workspace, cameras, walk):  # noqa: F811
    make_untrained().save(cameras.path / "models" / "young")
    opened = workspace.open_project(cameras.path)
    page.evaluate(f"location.hash = '/p/{opened.name}'")
    page.get_by_role("button", name="Analyse…").and_(page.locator(":enabled")).wait_for()
    dialogs = page.locator("button:enabled", has_text="…")
    faults = []
    for name in dialogs.all_inner_texts():
        dialogs.filter(has_text=name).first.click()
        page.locator("dialog[open]").wait_for()
        faults += check(name)
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")
    assert dialogs.count() >= 8 and faults == []
