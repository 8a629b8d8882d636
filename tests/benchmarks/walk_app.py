"""Walk through the whole loop in a browser: from an empty folder and a video to names proofread.

``python tests/benchmarks/walk_app.py VIDEO FOLDER --animals 2 --steps 60``: makes a project of the
video in FOLDER, extracts 20 frames, labels 3 by mouse and keyboard where something moves, trains a
few steps, lets the model propose in the others, analyses, refines, accepts proposals, proofreads a
swap and takes it back, plots and exports; then looks for all of it on the disk. Fails on any error
in the browser's console. Needs playwright and chromium. Pictures of the pages are left in FOLDER.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from mapose.edits import find_edits_path, load_edits
from mapose.files import RESULT
from mapose.project.project import Project

KEYPOINTS = ("head", "back", "tail")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--animals", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "mapose", "app", "--no-open", "--root", str(given.folder)]
    server = subprocess.Popen(
        [*words, "--root", str(given.video.parent)], stdout=subprocess.PIPE, text=True
    )
    address = server.stdout.readline().split(": ", 1)[1].strip()
    faults: list[str] = []
    try:
        with sync_playwright() as running:
            browser = running.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(60_000)
            page.on("console", lambda m: m.type == "error" and faults.append(m.text))
            page.on("pageerror", lambda e: faults.append(str(e)))
            page.goto(address)
            walk(page, given)
            browser.close()
    finally:
        server.terminate()
        server.communicate(timeout=20)
    check(given)
    assert not faults, faults
    print("all of it is on the disk; nothing in the browser's console")


def walk(page, given) -> None:
    name = given.video.stem
    tell = Teller(page, given.folder)
    page.get_by_role("link", name="New project").first.click()
    page.locator(".folders ul").wait_for()
    folders = page.get_by_label("allowed folders")
    if folders.count():
        folders.select_option(label=str(given.video.parent.resolve()))
    page.get_by_role("button", name=given.video.name).click()
    tell("1-videos")
    page.get_by_role("button", name="Next: Keypoints").click()
    page.get_by_text("Frame ").first.wait_for()
    page.wait_for_timeout(1500)
    for n, keypoint in enumerate(KEYPOINTS):
        page.locator(".stage").click(position={"x": 300 + 60 * n, "y": 200 + 20 * n})
        page.get_by_label(f"name of keypoint {n + 1}").fill(keypoint)
        page.get_by_label(f"name of keypoint {n + 1}").press("Enter")
    tell("2-keypoints")
    page.get_by_role("button", name="Next: Limbs").click()
    for keypoint in KEYPOINTS:
        page.get_by_role("button", name=keypoint, exact=True).click()
    page.get_by_role("button", name="Next: Animals").click()
    page.get_by_label("How many animals").fill(str(given.animals))
    page.get_by_label("Name of the project").fill("walk")
    page.get_by_label("allowed folders").select_option(label=str(given.folder.resolve()))
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Make the project").click()
    page.get_by_role("heading", name="Choose frames to label").wait_for()
    tell("3-project")
    page.get_by_role("button", name="Choose frames to label").click()
    page.get_by_role("button", name="Choose frames", exact=True).click()
    page.get_by_role("heading", name="Label the chosen frames").wait_for(timeout=180_000)
    page.get_by_role("button", name="Label the chosen frames").click()
    places = find_animals(given.folder / "walk" / "labels" / name, given.animals)
    for _ in range(3):
        label_frame(page, places)
    tell("4-labelled")
    page.get_by_role("link", name="Project", exact=True).click()
    page.get_by_role("button", name="Train…").click()
    page.get_by_label("Network").select_option("small")
    page.get_by_label("Steps").fill(str(given.steps))
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("link", name="Train model-1", exact=True).click()
    page.get_by_text("now ").wait_for(timeout=900_000)
    page.locator("span.facts", has_text="done").first.wait_for(timeout=900_000)
    tell("5-trained")
    page.get_by_role("link", name="Project", exact=True).click()
    page.get_by_role("button", name="Let the model propose labels").click()
    page.get_by_label("which frames").wait_for()
    page.get_by_role("link", name="Project", exact=True).click()
    wait_jobs(page)
    tell("5b-proposed")
    page.get_by_role("button", name="Analyse…").click()
    page.get_by_role("button", name="Analyse 1").click()
    page.get_by_role("link", name=name, exact=True).wait_for(timeout=900_000)
    wait_jobs(page)
    tell("6-analysed")
    page.get_by_role("button", name="Worst frames…").click()
    page.get_by_label("Frames in all").fill("3")
    page.get_by_role("button", name="Find them").click()
    wait_jobs(page)
    tell("7-refined")
    page.get_by_role("link", name="Proofread").click()
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_text("frame 0 of").wait_for()
    page.wait_for_timeout(1500)
    tell("8-proofread")
    if given.animals > 1:
        proofread(page)
    accept(page)
    tell("9-accepted")
    page.get_by_role("link", name="Project", exact=True).click()
    for work in ("Plot", "Export"):
        page.get_by_role("button", name=f"More… with {name}", exact=True).click()
        page.get_by_role("button", name=work, exact=True).first.click()
        page.get_by_role("button", name=work, exact=True).last.click()
        wait_jobs(page)
    page.get_by_role("link", name="Look").click()
    page.locator(".figures img").first.wait_for()
    tell("10-looked")


Places = dict[str, tuple[np.ndarray, tuple[int, int]]]


def find_animals(folder: Path, count: int) -> Places:
    """Find in each chosen frame what was not there in the others: three points along each."""
    images = {p.name: cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in folder.glob("*.png")}
    still = np.median(np.stack(list(images.values())), axis=0)
    found = {}
    for name, image in images.items():
        moved = cv2.GaussianBlur(np.abs(image - still).astype(np.uint8), (0, 0), 3)
        mask = cv2.threshold(moved, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
        _, parts, sizes, _ = cv2.connectedComponentsWithStats(mask)
        animals = []
        for part in np.argsort(-sizes[1:, cv2.CC_STAT_AREA])[:count] + 1:
            points = np.argwhere(parts == part)[:, ::-1].astype(np.float64)
            middle = points.mean(0)
            along = np.linalg.svd(points - middle, full_matrices=False)[2][0]
            reach = np.percentile((points - middle) @ along, [95, 50, 5])
            animals.append(middle + reach[:, None] * along)
        found[name] = np.array(animals), image.shape
    return found


def label_frame(page, places: Places) -> None:
    """As many actions as there are keypoints, and one for the next frame."""
    page.get_by_text("Next: head").wait_for()
    page.wait_for_timeout(600)
    animals, (height, width) = places[page.url.rpartition("/")[2]]
    box = page.locator(".stage").bounding_box()
    scale = min((box["width"] - 16) / width, (box["height"] - 16) / height)
    left = box["x"] + (box["width"] - scale * width) / 2
    top = box["y"] + (box["height"] - scale * height) / 2
    for point in animals.reshape(-1, 2):
        x, y = left + (point[0] + 0.5) * scale, top + (point[1] + 0.5) * scale
        page.mouse.click(x, y)
    page.get_by_text("Complete.").wait_for()
    page.locator(".saved", has_text="saved ").wait_for()
    page.keyboard.press("e")


def wait_jobs(page) -> None:
    """Wait until no job runs any more, and none has failed."""
    page.wait_for_timeout(1500)
    deadline = time.monotonic() + 900
    while page.locator(".job.running, .job.queued").count():
        assert time.monotonic() < deadline
        page.wait_for_timeout(500)
    assert not page.locator(".job.failed").count(), page.locator(".job.failed").inner_text()


def proofread(page) -> None:
    page.keyboard.press("Shift+d")
    # What is pressed next is meant for the frame that is shown: on a busy computer that takes time.
    page.get_by_text("frame 0 of").wait_for(state="hidden")
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.keyboard.press("s")
    page.locator(".line", has_text="are swapped from here on").wait_for()
    page.keyboard.press("Control+z")
    page.get_by_text("Taken back:").wait_for()


def accept(page) -> None:
    """Two actions for a frame whose proposal is right."""
    page.get_by_role("link", name="Label", exact=True).click()
    page.get_by_label("which frames").select_option("proposed")
    page.locator(".frame").first.click()
    page.wait_for_timeout(1500)
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    page.locator(".saved", has_text="saved ").wait_for()


class Teller:
    """Takes a picture of each page, and says how long the way there took."""

    def __init__(self, page, folder: Path) -> None:
        self.page, self.folder, self.begun = page, folder, time.monotonic()

    def __call__(self, name: str) -> None:
        self.page.screenshot(path=self.folder / f"{name}.png")
        print(f"{name}: {time.monotonic() - self.begun:.0f} s", flush=True)


def check(given) -> None:
    project = Project.load(given.folder / "walk")
    state = project.read_state()
    wanted = 3 * given.animals * len(KEYPOINTS)
    by_hand = sum(m[3] == "person" for spots in state.marks.values() for m in spots.values())
    accepted = sum(m[3] == "model" for spots in state.marks.values() for m in spots.values())
    assert by_hand == wanted, (by_hand, wanted)
    assert accepted > 0
    assert len(list((project.path / "labels").glob("*/*.png"))) >= 20
    assert project.list_models() == ["model-1"]
    result = project.path / "results" / f"{given.video.stem}{RESULT}"
    assert result.is_file() and load_edits(find_edits_path(result)) == []
    assert result.with_name(f"{given.video.stem}.csv").is_file()
    assert list((project.path / "results").glob("*-plots/positions.png"))
    print(f"{by_hand} points by hand, {accepted} accepted, {project.version} changes")


if __name__ == "__main__":
    main()
