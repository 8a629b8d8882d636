"""A browser goes through the pages, by mouse and by keyboard, and all of it is on the disk."""

import os
import shutil

import numpy as np
import pytest

from calibration import CameraGroup, align_to_points, make_ring
from mapose.app.live import LiveView
from mapose.edits import find_edits_path, load_edits
from mapose.io import VideoWriter
from mapose.io.proposals import Proposals
from mapose.labels import Labels
from mapose.project.extracting import extract_frames, write_frames
from mapose.project.project import Project
from mapose.project.proposals import add_proposals
from mapose.results.result import load
from mapose.skeleton import Skeleton
from tests.app.test_live import make_answer
from tests.untrained import make_untrained

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


@pytest.fixture
def page(client):
    """A page of a browser that has been let in; a fault in its console fails the test."""
    if not BROWSER:
        pytest.skip("needs chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    faults = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.set_default_timeout(60_000)  # a job may have to load torch on a busy machine
        page.on("console", lambda m: m.type in ("error", "warning") and faults.append(m.text))
        page.on("pageerror", lambda e: faults.append(str(e)))
        page.goto(f"{client.origin}/?token={client.token}")
        assert "token" not in page.url
        yield page
        browser.close()
    assert faults == []


def read_marks(project, number):
    state = Project.load(project.path).read_state()
    return state.marks.get(("film", f"frame{number:06d}.png"), {})


def wait_saved(page):
    page.locator(".saved", has_text="saved ").wait_for()


def test_frames_are_labelled_by_mouse_and_by_keyboard(page, workspace, mice):
    opened = workspace.open_project(mice.path)
    page.evaluate(f"location.hash = '/p/{opened.name}/label'")
    stage = page.locator(".stage")
    page.get_by_text("Next: snout of ann").wait_for()
    page.get_by_role("button", name="Got it").click()
    box = stage.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    actions = 0
    for n in range(6):  # as many actions as there are keypoints
        page.mouse.click(middle[0] + 40 * n, middle[1] - 30 * (n % 3))
        actions += 1
    page.get_by_text("Complete.").wait_for()
    wait_saved(page)
    found = read_marks(mice, 1)
    assert len(found) == 6 and actions == 6
    assert found["ann", "snout"][:2] == pytest.approx((31.5, 23.5), abs=0.2)
    page.keyboard.press("e")
    page.get_by_text("Next: snout of ann").wait_for()
    page.keyboard.press("Enter")  # in the middle of the view
    page.keyboard.press("w")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("s")
    page.keyboard.press("x")
    wait_saved(page)
    page.wait_for_timeout(300)
    found = read_marks(mice, 2)
    assert found["ann", "snout"][0] == pytest.approx(36.5, abs=0.2)
    assert found["ann", "earL"][2] == "absent"
    page.keyboard.press("Control+z")
    page.get_by_text("undo: set earL").wait_for()
    assert ("ann", "earL") not in read_marks(mice, 2)
    page.keyboard.press("?")
    page.get_by_role("heading", name="All keys").wait_for()
    page.keyboard.press("Escape")
    page.reload()
    page.get_by_text("Next: ").wait_for()
    assert not page.get_by_role("button", name="Got it").count()  # said once


def test_a_project_begins_with_a_video_and_clicks(page, workspace, tmp_path):
    with VideoWriter(tmp_path / "walk.mp4", 25) as writer:
        for i in range(12):
            writer.write(np.full((48, 64), 20 * i, np.uint8))
    page.get_by_role("link", name="New project").first.click()
    page.get_by_role("button", name="walk.mp4").click()
    page.get_by_role("button", name="Next: Keypoints").click()
    page.get_by_text("Frame 6 of 11").wait_for()
    page.wait_for_timeout(300)
    for n, name in enumerate(("snout", "tail")):
        page.locator(".stage").click(position={"x": 300 + 80 * n, "y": 200})
        page.get_by_label(f"name of keypoint {n + 1}").fill(name)
        page.get_by_label(f"name of keypoint {n + 1}").press("Enter")
    page.get_by_role("button", name="Next: Limbs").click()
    page.get_by_role("button", name="snout", exact=True).click()
    page.get_by_role("button", name="tail", exact=True).click()
    page.get_by_role("button", name="Next: Animals").click()
    page.get_by_label("Name of the project").fill("walks")
    page.get_by_role("button", name="Make the project").click()
    page.get_by_role("heading", name="Choose frames to label").wait_for()
    project = Project.load(tmp_path / "walks")
    assert project.skeleton.keypoints == ("snout", "tail")
    assert project.skeleton.edges == (("snout", "tail"),) and list(project.videos) == ["walk"]
    page.get_by_role("button", name="Choose frames to label").click()
    page.get_by_label("Frames of each video").fill("3")
    page.get_by_role("button", name="Choose frames", exact=True).click()
    page.get_by_text("Label the chosen frames").first.wait_for(timeout=30_000)
    assert len(list((tmp_path / "walks/labels/walk").glob("*.png"))) == 3


def test_a_doubt_is_settled_by_a_key_and_taken_back(page, workspace, walk):
    place = workspace.open_result(walk).name
    page.evaluate(f"location.hash = '/r/{place}'")
    page.get_by_text("0 of 1 settled").wait_for()
    page.keyboard.press("n")
    page.get_by_role("button", name="Exchanged from frame 15 on").wait_for()
    page.keyboard.press("s")
    page.get_by_text("All doubts are settled.").wait_for()
    assert [str(e) for e in load_edits(find_edits_path(walk))] == [
        "frame 15: ann and bob are swapped from here on"
    ]
    page.keyboard.press("Control+z")
    page.get_by_text("Taken back:").wait_for()
    assert load_edits(find_edits_path(walk)) == []
    page.keyboard.press("End")
    page.get_by_text("frame 29 of 29").wait_for()
    page.keyboard.press("a")
    page.get_by_text("frame 28 of 29").wait_for()


def test_points_are_dragged_and_deleted_and_tracks_split_and_merged(page, workspace, walk):
    page.evaluate(f"location.hash = '/r/{workspace.open_result(walk).name}'")
    page.get_by_text("frame 0 of 29").wait_for()
    box = page.locator(".stage").first.bounding_box()
    scale = min((box["width"] - 16) / 64, (box["height"] - 16) / 48)

    def find(x, y):
        left = box["x"] + (box["width"] - scale * 64) / 2 + (x + 0.5) * scale
        return left, box["y"] + (box["height"] - scale * 48) / 2 + (y + 0.5) * scale

    for _ in range(3):  # as fast as they come
        page.keyboard.press("d")
    page.get_by_text("frame 3 of 29").wait_for()
    page.wait_for_timeout(300)
    page.mouse.move(*find(20, 26))  # the snout of ann
    page.mouse.down()
    page.mouse.move(*find(15, 20), steps=4)
    page.mouse.move(*find(10, 16), steps=4)
    page.mouse.up()
    page.locator(".line", has_text="frame 3: snout of ann is at 10.0, 16.0").wait_for()
    assert load(walk)["ann", "snout"][3, :2] == pytest.approx([10, 16], abs=0.3)
    page.wait_for_timeout(300)
    page.keyboard.press("Alt+ArrowRight")
    page.locator(".line", has_text="frame 3: snout of ann is at 11.0, 16.0").wait_for()
    page.keyboard.press("Delete")
    page.locator(".line", has_text="frame 3: snout of ann is deleted").wait_for()
    assert np.isnan(load(walk)["ann", "snout"][3, 0])
    for key in ("2", "Delete"):
        page.keyboard.press(key)
    page.get_by_label("Up to frame").fill("9")
    page.get_by_label("Up to frame").press("Enter")
    page.locator(".line", has_text="frame 3: bob is deleted up to frame 9").wait_for()
    assert np.flatnonzero(~load(walk).find_present()[:, 1]).tolist() == list(range(3, 10))
    for key in ("1", "/"):
        page.keyboard.press(key)
    page.locator(".line", has_text="ann is another animal from here on, track0").wait_for()
    for key in ("1", "3", "m"):
        page.keyboard.press(key)
    page.locator(".line", has_text="ann and track0 are one animal, ann").wait_for()
    assert load(walk).names == ("ann", "bob") and len(load_edits(find_edits_path(walk))) == 6
    for left in range(5, -1, -1):
        page.keyboard.press("Control+z")
        page.wait_for_timeout(250)
        assert len(load_edits(find_edits_path(walk))) == left


def test_a_right_proposal_takes_two_keys(page, workspace, mice, film):
    """Space accepts it whole, E goes to the next; a click accepts one point."""
    places = write_frames(mice, "film", film, [5, 8])
    points = np.zeros((2, 2, 3, 2), np.float32) + [[[10, 10], [20, 12], [30, 14]]]
    points[:, 1] += [0, 20]
    labels = Labels(
        points, mice.skeleton, ("film",) * 2, np.array([5, 8]), tuple(places), ("ann", "bob")
    )
    sure = np.full((2, 2, 3), 0.9, np.float32)
    nobody = np.full((2, 2, 3), "model")
    add_proposals(mice, Proposals(labels, np.ones(2, bool), nobody, sure, ("jumps", "jumps")))
    opened = workspace.open_project(mice.path)
    page.evaluate(f"location.hash = '/p/{opened.name}/refine'")
    page.get_by_text("Space accepts what is proposed").wait_for()
    assert page.get_by_label("which frames").input_value() == "proposed"
    page.keyboard.press("Space")
    page.keyboard.press("e")
    page.get_by_text("Next: snout of ann").wait_for()
    wait_saved(page)
    found = read_marks(mice, 5)
    assert len(found) == 6 and found["bob", "earR"] == (30, 34, "visible", "model")
    page.locator(".frame", has_text="8").click()
    page.wait_for_timeout(500)
    page.keyboard.press("Space")  # accepts, and does not press what was clicked once more
    page.get_by_text("Complete.").wait_for()
    page.wait_for_timeout(500)
    assert len(read_marks(mice, 8)) == 6


def test_a_young_model_proposes_the_rest(page, workspace, mice):
    """In all empty frames by a button, in this one by a key; what it finds is accepted by Space."""
    rng = np.random.default_rng(0)
    with VideoWriter(mice.path / "noise.mp4", 25) as writer:
        for _ in range(12):
            writer.write(rng.integers(0, 255, (64, 64), np.uint8))
    skeleton = Skeleton(["a", "b"], [("a", "b")])
    project = Project.create(mice.path.parent / "rats", skeleton, individuals=["ann", "bob"])
    project = project.add_videos([mice.path / "noise.mp4"])
    extract_frames(project, 3, method="uniform", videos=["noise"])
    make_untrained(lively=True).save(project.path / "models" / "young")
    opened = workspace.open_project(project.path)
    page.evaluate(f"location.hash = '/p/{opened.name}/label'")
    page.get_by_role("button", name="Propose in 3 empty").click()
    page.locator(".line", has_text="young has found").wait_for(timeout=30_000)
    page.get_by_text("Space accepts what is proposed").wait_for()
    page.locator(".stage").focus()
    page.keyboard.press("Space")
    wait_saved(page)
    page.wait_for_timeout(300)
    state = Project.load(project.path).read_state()
    (marks,) = state.marks.values()
    assert {mark[3] for mark in marks.values()} == {"model"}
    page.evaluate(f"location.hash = '/p/{opened.name}/label/noise/frame000007.png'")
    page.keyboard.press("d")
    page.keyboard.press("p")
    page.locator(".frame", has_text="proposed").nth(2).wait_for(timeout=30_000)


def test_videos_are_grouped_and_a_result_is_exported_by_mouse(page, workspace, walk, mice, film):
    shutil.copy(film, film.with_name("side.mp4"))
    mice.add_videos([film.with_name("side.mp4")])
    opened = workspace.open_project(mice.path)
    page.evaluate(f"location.hash = '/p/{opened.name}'")
    page.get_by_role("button", name="Group videos…").click()
    page.get_by_label("Name of the session").fill("may")
    page.get_by_label("camera of film").fill("top")
    page.get_by_role("button", name="Make the session").click()
    page.get_by_text("not calibrated").wait_for()
    assert Project.load(mice.path).sessions == {"may": {"top": "film", "side": "side"}}
    page.get_by_role("button", name="Calibrate…").click()
    page.get_by_label("Dictionary").wait_for()
    assert page.get_by_label("Dictionary").input_value() == "4x4_1000"
    for _ in range(2):
        page.locator(".folders .entry", has_text="side.mp4").click()
    page.get_by_role("button", name="Calibrate", exact=True).click()
    page.locator(".job .fault").wait_for(timeout=30_000)  # there is no board in this video
    page.get_by_role("button", name="More… with film").click()
    page.get_by_label("For").select_option("slp")
    page.get_by_role("button", name="Export", exact=True).last.click()
    page.get_by_text("film.slp").wait_for(timeout=30_000)
    page.locator(".line", has_text="Done: Export film to slp").wait_for()
    assert (mice.path / "results" / "film.slp").is_file()


def test_the_end_of_work_is_told_that_began_and_ended_between_two_looks(page, workspace, mice):
    opened = workspace.open_project(mice.path)
    job = {"name": "job-2", "kind": "export", "title": "Export film to slp", "state": "done"}
    old = job | {"name": "job-1", "title": "Export of yesterday"}
    bad = job | {"name": "job-3", "title": "Calibrate may", "state": "failed", "fault": "No board."}
    answers = [[old], [old, job, bad]]

    def answer(route):
        route.fulfill(json={"jobs": answers.pop(0) if len(answers) > 1 else answers[0]})

    page.route("**/jobs", answer)
    page.evaluate(f"location.hash = '/p/{opened.name}/look'")
    told = page.locator(".line.fault")
    told.wait_for()
    wanted = "Done: Export film to slp. Failed: Calibrate may. No board."
    assert told.locator("span").inner_text() == wanted


def test_the_world_of_a_session_is_clicked(page, workspace, mice, tmp_path):
    ring, rng = make_ring(2), np.random.default_rng(0)
    corners = {"origin": [0.0, 0, 0], "x": [60.0, 0, 0], "y": [0.0, 60, 0]}
    for camera in ring:
        picture = rng.integers(60, 90, (*camera.size[::-1], 3), np.uint8)
        for place in corners.values():
            x, y = np.round(camera.project([place])[0]).astype(int)
            picture[y - 4 : y + 5, x - 4 : x + 5] = 255
        with VideoWriter(tmp_path / f"{camera.name}.mp4", 25) as writer:
            for _ in range(3):
                writer.write(picture)
    mice.add_session("may", {name: tmp_path / f"{name}.mp4" for name in ring.names})
    (mice.path / "calibration").mkdir(exist_ok=True)
    ring.save(mice.path / "calibration" / "may.toml")
    opened = workspace.open_project(mice.path)
    page.evaluate(f"location.hash = '/p/{opened.name}'")
    page.get_by_role("button", name="World…").click()
    dialog = page.get_by_role("dialog")
    set_world = dialog.get_by_role("button", name="Set the world")
    dialog.get_by_label("Frame").fill("1")
    page.wait_for_timeout(500)
    assert dialog.get_by_label("Frame").input_value() == "1"
    for name, words in (("origin", "● origin"), ("x", "● on the x"), ("y", "● on the side")):
        assert set_world.is_disabled()
        dialog.get_by_role("button", name=words).click()
        for camera in ring:
            box = dialog.get_by_label(f"camera {camera.name}").bounding_box()
            scale = min((box["width"] - 16) / camera.size[0], (box["height"] - 16) / camera.size[1])
            x, y = (camera.project([corners[name]])[0] + 0.5 - np.divide(camera.size, 2)) * scale
            page.mouse.click(box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y)
    dialog.get_by_label("True distance").fill("6")
    dialog.get_by_label("Its unit").select_option("cm")
    if shots := os.environ.get("MAPOSE_SHOTS"):
        page.screenshot(path=f"{shots}/world.png")
    set_world.click()
    page.get_by_role("button", name="World set…").wait_for()
    placed = CameraGroup.load(mice.path / "calibration" / "worlds" / "may.toml")
    assert placed.unit == "cm"
    wanted = align_to_points(ring, **corners, length=6, unit="cm")[0]
    for found, right in zip(placed, wanted, strict=True):
        assert np.linalg.norm(found.centre - right.centre) < 0.03 * np.linalg.norm(right.centre)


def test_two_tabs_show_each_others_changes(page, workspace, mice):
    opened = workspace.open_project(mice.path)
    place = f"'/p/{opened.name}/label/film/frame000001.png'"
    other = page.context.new_page()
    other.goto(page.url)
    for one in (page, other):
        one.evaluate(f"location.hash = {place}")
        one.get_by_text("Next: snout of ann").wait_for()
        one.wait_for_timeout(300)
    page.bring_to_front()
    page.keyboard.press("Enter")
    wait_saved(page)
    other.bring_to_front()
    other.get_by_text("1 of 6").wait_for()
    other.keyboard.press("w")
    other.keyboard.press("x")
    other.wait_for_timeout(800)
    assert {spot[1] for spot in read_marks(mice, 1)} >= {"snout"}


def test_a_live_run_is_shown_and_held(page, workspace):
    workspace.live = view = LiveView()
    view.send(make_answer(1))
    page.evaluate("location.hash = '/live'")
    page.get_by_text("2 of 2 points").wait_for()
    assert page.locator(".live-view").count() == 3  # two cameras, and space
    assert page.locator(".live-big").inner_text().startswith("40 ms")
    page.keyboard.press("Space")
    page.get_by_text("The picture is held").wait_for()
    view.close()
    page.keyboard.press("Space")
    page.get_by_text("The run has ended.").wait_for()
    drawn = page.locator(".live-view canvas").first.evaluate(
        "c => c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[0]"
    )
    assert abs(drawn - 41) < 3  # the grey of set 1
