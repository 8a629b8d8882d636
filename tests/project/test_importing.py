"""What comes into a project: every recording's own pictures, all that can be taken, or nothing."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import sleap_io as sio

from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.io import VideoWriter, load_labels, read_image, save_labels
from mapose.labels import Labels
from mapose.project import Project, import_labels, import_project
from mapose.project.overview import describe
from mapose.skeleton import Skeleton

SKELETON = Skeleton(["snout", "tail"])
XY = np.array([[10.0, 20], [30, 40]])


def paint(grey: int) -> np.ndarray:
    return np.full((48, 64), grey, np.uint8)


def film(path: Path, greys: range) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 25) as writer:
        for grey in greys:
            writer.write(paint(grey))
    return path


def picture(path: Path, grey: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, paint(grey))[1].tobytes())
    return path


def find_greys(project: Project) -> list[int]:
    """Read the grey levels of all pictures that a project has labels for, to the next ten."""
    images = project.load_labels().images
    return sorted(round(float(read_image(i).mean()), -1) for i in images if i)


def list_files(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*")) if folder.exists() else []


def write_coco(path: Path, names: list[str], damage: int | None = None) -> Path:
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}
        for i in range(len(names))
    ]
    if damage is not None:
        annotations[damage]["keypoints"] = "nonsense"
    category = {"id": 1, "name": "m", "keypoints": ["snout", "tail"]}
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    document = {"images": images, "annotations": annotations, "categories": [category]}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def write_slp(path: Path, videos: list[str], frames: list[int]) -> Path:
    skeleton = sio.Skeleton(["snout", "tail"])
    sources = [sio.Video(v, open_backend=False) for v in videos]
    labelled = [
        sio.LabeledFrame(v, f, [sio.Instance.from_numpy(XY + k, skeleton)])
        for k, v in enumerate(sources)
        for f in frames
    ]
    labels = sio.Labels(labelled, videos=sources, skeletons=[skeleton])
    sio.save_slp(labels, str(path), embed=False, verbose=False)
    return path


def make_labels(source: Path, frames: list[int], name: str = "clip") -> Labels:
    points = np.tile(XY, (len(frames), 1, 1, 1))
    empty = (None,) * len(frames)
    return Labels(
        points, SKELETON, (name,) * len(frames), np.array(frames), empty, ("ann",), True,
        {name: source},
    )  # fmt: skip


def test_a_recording_gets_no_picture_of_another_one(tmp_path: Path) -> None:
    """Both are called 0001.mp4 and only one of them is there, beside the labels."""
    film(tmp_path / "0001.mp4", range(50, 60))
    slp = write_slp(tmp_path / "l.slp", ["D:\\day1\\0001.mp4", "D:\\day2\\0001.mp4"], [0, 1])
    project, report = import_project(tmp_path / "p", slp)
    assert (report.taken, report.without) == (2, 2)
    assert len(set(project.load_labels().videos)) == 1


def test_recordings_of_one_name_come_in_under_two(tmp_path: Path) -> None:
    for day, grey in (("day1", 50), ("day2", 150)):
        film(tmp_path / day / "0001.mp4", range(grey, grey + 3))
    slp = write_slp(tmp_path / "l.slp", ["C:\\x\\day1\\0001.mp4", "C:\\x\\day2\\0001.mp4"], [0, 2])
    project, report = import_project(tmp_path / "p", slp)
    assert report.taken == 4 and find_greys(project) == [50, 50, 150, 150]
    assert set(project.videos) == {"day1-0001", "day2-0001"}
    for name in project.videos:
        assert project.find_video(name).samefile(tmp_path / name[:4] / "0001.mp4")


def test_a_second_recording_of_a_name_that_is_taken_is_called_otherwise(tmp_path: Path) -> None:
    """One after the other, from two label files."""
    project = Project.create(tmp_path / "p", SKELETON)
    for lab, grey in (("one", 50), ("two", 150), ("three/two", 200)):
        video = film(tmp_path / lab / "clip.mp4", range(grey, grey + 3))
        import_labels(Project.load(project.path), make_labels(video, [0, 1]))
    project = Project.load(project.path)
    assert list(project.videos) == ["clip", "two-clip", "two-clip-2"]
    assert find_greys(project) == [50, 50, 150, 150, 200, 200]
    again = import_labels(project, make_labels(tmp_path / "two" / "clip.mp4", [1, 2]))
    assert (again.taken, again.twice) == (1, 1) and len(Project.load(project.path).videos) == 3


def test_pictures_of_one_name_in_several_folders(tmp_path: Path) -> None:
    names = [
        f"{a}/{b}/i.{c}" for a in ("train", "val") for b in ("x", "images") for c in ("png", "bmp")
    ]
    for k, name in enumerate(names):
        picture(tmp_path / name, 20 * k)
    project, report = import_project(tmp_path / "p", write_coco(tmp_path / "l.json", names))
    assert report.taken == 8 and find_greys(project) == [20 * k for k in range(8)]
    again = import_project(tmp_path / "p", tmp_path / "l.json")[1]
    assert (again.taken, again.twice) == (0, 8)


def test_flaws_are_told_and_the_rest_is_taken(tmp_path: Path) -> None:
    names = [f"i{k}.png" for k in range(6)]
    for k, name in enumerate(names):
        picture(tmp_path / name, 20 * k)
    (tmp_path / "i1.png").write_bytes((tmp_path / "i1.png").read_bytes()[:40])
    (tmp_path / "i2.png").unlink()
    source = write_coco(tmp_path / "l.json", names, damage=3)
    project, report = import_project(tmp_path / "p", source)
    assert (report.taken, report.offered, report.without) == (3, 5, 2)
    assert find_greys(project) == [0, 80, 100]
    assert "annotation 3 does not fit" in str(report) and "i1.png" in str(report)


def test_labels_a_little_beyond_the_end_are_left_out(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4", range(30, 60))
    taken = {(28, 29, 30): 2, (*range(0, 30, 2), 90): 15}
    for n, (frames, count) in enumerate(taken.items()):
        project = Project.create(tmp_path / f"p{n}", SKELETON)
        report = import_labels(project, make_labels(video, list(frames)))
        assert (report.taken, report.without) == (count, 1) and "frame" in str(report)
    for frames in ([1, 2, 90], [30], [1, 2, 3, -5]):
        project = Project.create(tmp_path / f"q{frames[-1]}", SKELETON)
        with pytest.raises(FormatError, match="is this the video that was labelled"):
            import_labels(project, make_labels(video, frames))


def test_one_damaged_table_of_many_is_left_out(tmp_path: Path) -> None:
    for k, name in enumerate(("a", "b", "c")):
        picture(tmp_path / "t" / f"{name}.png", 20 * k)
        (tmp_path / "t" / f"{name}.csv").write_text("keypoint,x,y\nsnout,1,2\ntail,3,4\n")
    (tmp_path / "t" / "b.csv").write_bytes(b"keypoint,x,y\n\xff\xfe\x00\n")
    _, report = import_project(tmp_path / "p", tmp_path / "t")
    assert report.taken == 2 and "b.csv is left out" in str(report)
    rows = [f"{name}.png,{part},{x},2" for name in "ac" for part, x in (("snout", 1), ("tail", 3))]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["image,keypoint,x,y", *rows, "a.png,ear,oops,2"]))
    for name in "ac":
        picture(tmp_path / f"{name}.png", 50)
    _, report = import_project(tmp_path / "q", table)
    assert report.taken == 2 and "1 rows are left out" in str(report)


def test_a_video_that_cannot_be_opened_takes_no_other_with_it(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", range(50, 53))
    (tmp_path / "b.mp4").write_bytes(b"no video at all")
    project, report = import_project(
        tmp_path / "p", write_slp(tmp_path / "l.slp", ["a.mp4", "b.mp4"], [0, 1])
    )
    assert (report.taken, report.without) == (2, 2) and list(project.videos) == ["a"]
    assert "the video of b is left out" in str(report)


@pytest.mark.parametrize("there", [False, True])
def test_a_refused_import_leaves_nothing(tmp_path: Path, there: bool) -> None:
    video = film(tmp_path / "clip.mp4", range(30, 40))
    source = write_slp(tmp_path / "l.slp", ["clip.mp4"], [1, 2, 500, 600])
    folder = tmp_path / "p"
    if there:
        import_labels(Project.create(folder, SKELETON), make_labels(video, [4, 5]))
    before = list_files(folder)
    with pytest.raises(FormatError, match="is this the video"):
        import_project(folder, source)
    assert list_files(folder) == before
    (folder / "labels" / "clip").mkdir(parents=True, exist_ok=True)
    picture(folder / "labels" / "clip" / "frame000002.png", 255)  # shows something else
    if there:
        with pytest.raises(SettingsError, match="shows something else"):
            import_project(folder, write_slp(tmp_path / "l.slp", ["clip.mp4"], [1, 2]))
        added = "labels/clip/frame000002.png"
        assert list_files(folder) == sorted([*before, added])
        assert len(Project.load(folder).load_labels()) == 2


def test_an_import_that_was_stopped_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "clip.mp4", range(30, 40))
    source = write_slp(tmp_path / "l.slp", ["clip.mp4"], [1, 2, 3])

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_project(tmp_path / "p", source, on_progress=stop)
    assert not (tmp_path / "p").exists()
    assert import_project(tmp_path / "p", source)[1].taken == 3


@pytest.mark.parametrize("name", ["../../stray.png", "..", "a/../../b.png"])
def test_labels_that_name_places_elsewhere_write_nothing_there(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "in" / "deep" / "x.png", 10)
    picture(tmp_path / "stray.png", 20)
    source = write_coco(tmp_path / "in" / "deep" / "l.json", ["x.png", name])
    before = list_files(tmp_path)
    try:
        import_project(tmp_path / "in" / "p", source)
    except MaposeError:
        assert list_files(tmp_path) == before
    made = set(list_files(tmp_path)) - set(before)
    assert all(f == "in/p" or f.startswith("in/p/") for f in made)
    assert not [f for f in made if f.startswith("in/p/labels/") and f.count("/") > 4]


def test_what_a_person_keeps_in_labels_stays(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4", range(30, 40))
    project = Project.create(tmp_path / "p", SKELETON)
    import_labels(project, make_labels(video, [1, 2]))
    file = tmp_path / "p" / "labels" / "clip" / "labels.csv"
    table = pd.read_csv(file, dtype=str)
    table["note"] = [f"n{i}, 'x'" for i in range(len(table))]
    table.loc[0, "visible"] = "0"  # hidden, but a person knows where it is
    place = table.loc[0, ["x", "y"]].tolist()
    table.to_csv(file, index=False)
    assert np.isnan(project.load_labels().points[0, 0, 0]).all()
    import_labels(project, make_labels(video, [0, 5]))
    after = pd.read_csv(file, dtype=str, keep_default_na=False)
    old = after[after.frame.isin(["1", "2"])]
    assert old.note.tolist() == table.note.tolist()
    assert old.iloc[0][["x", "y", "visible"]].tolist() == [*place, "0"]
    assert after[after.frame == "0"].note.tolist() == ["", ""] and len(after) == 8
    labels = load_labels(tmp_path / "p" / "labels", SKELETON)
    save_labels(labels, tmp_path / "p" / "labels")
    pd.testing.assert_frame_equal(pd.read_csv(file, dtype=str, keep_default_na=False), after)


def test_an_image_is_one_frame(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4", range(30, 40))
    project = Project.create(tmp_path / "p", SKELETON)
    import_labels(project, make_labels(video, [1]))
    file = tmp_path / "p" / "labels" / "clip" / "labels.csv"
    text = file.read_text()
    file.write_text(text.replace("frame000001.png,1,ann,tail", "frame000001.png,7,ann,tail"))
    with pytest.raises(FormatError, match=r"frame000001.png is said to be frames 1 and 7"):
        project.load_labels()


def test_frames_without_an_animal_come_in_when_they_are_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "labeled-data" / "walk"
    folder.mkdir(parents=True)
    header = "scorer,ann,ann,ann,ann\nbodyparts,snout,snout,tail,tail\ncoords,x,y,x,y\n"
    rows = [f"labeled-data/walk/img{i:03d}.png,{'10,20,30,40' if i else ',,,'}" for i in range(3)]
    for i in range(3):
        cv2.imwrite(str(folder / f"img{i:03d}.png"), paint(50 + i))
    table = folder / "CollectedData_ann.csv"
    table.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    _, report = import_project(tmp_path / "few", table)
    assert report.taken == 2 and "--keep-empty" in str(report)
    project, report = import_project(tmp_path / "all", table, keep_empty=True)
    labels = project.load_labels()
    assert report.taken == 3 and labels.frames.tolist() == [0, 1, 2]
    assert np.isnan(labels.points[0]).all() and np.isfinite(labels.points[1:]).all()


def test_labels_outside_of_their_pictures_are_told(tmp_path: Path) -> None:
    """A picture that was made smaller, in a format that states no sizes."""
    folder = tmp_path / "labels"
    folder.mkdir()
    cv2.imwrite(str(folder / "a1.png"), np.zeros((24, 32), np.uint8))
    table = "image,keypoint,x,y\na1.png,snout,5,6\na1.png,tail,50,20\n"
    (folder / "t.csv").write_text(table, encoding="utf-8")
    _, report = import_project(tmp_path / "p", folder / "t.csv")
    assert report.taken == 1
    assert report.left_out == (
        "1 labelled point lies outside of the picture, first tail of labels:1 at (50, 20) of "
        "32 x 24",
    )


def test_a_halved_picture_is_not_taken(tmp_path: Path) -> None:
    names = ["x1.png", "x2.png"]
    [picture(tmp_path / name, 50) for name in names]
    source = write_coco(tmp_path / "l.json", names)
    document = json.loads(source.read_text(encoding="utf-8"))
    for image, width in zip(document["images"], (64, 128), strict=True):
        image.update(width=width, height=48)
    source.write_text(json.dumps(document), encoding="utf-8")
    _, report = import_project(tmp_path / "p", source)
    assert (report.taken, report.without) == (1, 1)
    wanted = "x2.png is 64 x 48, but the labels were made on 128 x 48: not taken"
    assert report.left_out == (wanted,)


def test_what_is_cut_out_of_a_video_is_not_completed_from_the_whole(tmp_path):
    """Frames were labelled in a part of the picture, and the picture of one is gone."""
    folder = tmp_path / "labeled-data" / "clip"
    names = [picture(folder / f"img{n}.png", 10 * n).name for n in range(3)]
    rows = "".join(f"labeled-data/clip/{name},1,2,3,4\n" for name in names)
    head = "scorer,me,me,me,me\nbodyparts,a,a,b,b\ncoords,x,y,x,y\n"
    (folder / "CollectedData_me.csv").write_text(head + rows, encoding="utf-8")
    (folder / names[2]).unlink()
    with VideoWriter(tmp_path / "clip.mp4", 25) as writer:
        for n in range(4):
            writer.write(np.full((96, 128), 10 * n, np.uint8))
    project, report = import_project(tmp_path / "p", tmp_path / "labeled-data")
    assert (report.taken, report.without) == (2, 1) and len(project.load_labels()) == 2
    assert "clip.mp4 is 128 x 96, but the pictures labelled of it are 64 x 48" in report.left_out[0]


def test_a_folder_of_pictures_is_described(tmp_path):
    for n in range(3):
        picture(tmp_path / "still" / f"img{n}.png", 10 * n)
    assert describe(tmp_path / "still").facts["frames"] == 3
