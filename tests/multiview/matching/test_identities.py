"""Same names in every view: exact truth, crossings, swaps, bystanders, real recordings."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from calibration import CameraGroup, add_station
from calibration.synthetic import make_ring
from mapose import Poses, Skeleton
from mapose.errors import SettingsError, ShapeError
from mapose.io.openpose import read_openpose_poses
from mapose.multiview import MatchOptions, match_parts, match_views
from mapose.multiview.matching.identities import choose_names
from mapose.parts import Parts
from mapose.shelf import Shelf
from mapose.synthetic import Flaws, degrade, make_scene
from tests.multiview.known_names import find_nearest, find_right, name_rows

FLAWS = Flaws(missing=0.2)


def watch(animals, cameras, frames=300, *, seed=0, named=True, flaws=FLAWS):
    """See a scene as networks do: exact truth and flawed detections by camera.

    Named rows are the truth's, each view's in an order of its own, false detections dropped.
    """
    scene = make_scene(animals, frames, seed=seed, cameras=cameras)
    rng = np.random.default_rng(seed)
    truth = {name: scene.truth(name) for name in scene.cameras.names}
    views = {}
    for name, exact in truth.items():
        found = degrade(exact, rng, flaws=flaws)
        views[name] = name_rows(exact, found, rng.permutation(animals)) if named else found
    return scene, truth, views


def score(matched, truth):
    """Compare names with the truth: share of right ones, and all (view, frame, row) that count."""
    found = find_right(matched, truth)
    share = {name: right[counted].mean() for name, (right, counted) in found.items()}
    return share, *({name: pair[k] for name, pair in found.items()} for k in (0, 1))


def count_found(views):
    return sum(p.find_present().sum() for p in views.values())


@pytest.mark.parametrize(
    ("animals", "cameras", "named"),
    [(2, 3, True), (2, 3, False), (4, 3, False), (2, 6, True), (4, 2, True), (8, 3, False)],
)
def test_animals_keep_their_names(animals, cameras, named):
    scene, truth, views = watch(animals, cameras, seed=animals + cameras, named=named)
    matched = match_views(views, scene.cameras)
    assert all(len(p.names) == animals for p in matched.values())
    assert len({p.names for p in matched.values()}) == 1
    share, _, _ = score(matched, truth)
    assert min(share.values()) > 0.99, share
    if named:
        assert count_found(matched) >= 0.999 * count_found(views)


def test_swaps_in_one_camera_are_repaired():
    scene, truth, views = watch(4, 3, 400, seed=3)
    rng = np.random.default_rng(0)
    array = views["cam2"].array.copy()
    swapped = []
    for frame in range(50, 400, 50):
        pair = rng.choice(4, 2, replace=False)
        array[frame:, pair] = array[frame:, pair[::-1]]
        swapped.append(frame)
    views["cam2"] = replace(views["cam2"], array=array)
    before, _, _ = score(views, truth)
    assert before["cam2"] < 0.7
    matched = match_views(views, scene.cameras)
    share, right, counted = score(matched, truth)
    assert min(share.values()) > 0.99, share
    # From the very frame of the swap on.
    after = np.concatenate([right["cam2"][f : f + 5][counted["cam2"][f : f + 5]] for f in swapped])
    assert after.mean() > 0.95


def test_names_are_kept_where_views_agree():
    scene, truth, _ = watch(3, 3, 100)
    views = {name: replace(p, individuals=["ann", "bob", "cat"]) for name, p in truth.items()}
    matched = match_views(views, scene.cameras)
    for name, poses in matched.items():
        assert poses.names == ("ann", "bob", "cat")
        np.testing.assert_array_equal(poses.array, views[name].array)
        there = poses.find_present()
        assert np.isnan(poses.identity[~there]).all() and (poses.identity[there] > 0.5).all()
        assert np.median(poses.identity[there]) > 0.999


def test_given_names_come_out_in_their_order():
    scene, truth, views = watch(2, 3, 100, named=False)
    matched = match_views(views, scene.cameras, individuals=["x", "y"])
    assert all(p.names == ("x", "y") for p in matched.values())
    # Those that no view uses go to the animals by first appearance.
    assert score(matched, truth)[0]["top"] > 0.99


def test_order_of_views_and_rows_does_not_matter():
    scene, _, views = watch(3, 3, 100, seed=5)
    first = match_views(views, scene.cameras, individuals=["t0", "t1", "t2"])
    mixed = {
        name: p.sel(individual=["t2", "t0", "t1"]) for name, p in reversed(list(views.items()))
    }
    second = match_views(mixed, scene.cameras, individuals=["t0", "t1", "t2"])
    assert list(second) == list(mixed)
    for name in views:
        np.testing.assert_array_equal(first[name].array, second[name].array)
        np.testing.assert_allclose(first[name].identity, second[name].identity, atol=1e-5)


def shuffle_rows(views, rng):
    """Take away names and order."""
    found = {}
    for name, p in views.items():
        order = rng.random(p.array.shape[:2]).argsort(1)
        array = np.take_along_axis(p.array, order[..., None, None], axis=1)
        found[name] = replace(p, array=array, individuals=None)
    return found


def test_bystander_takes_no_name(caplog, rng):
    scene, truth, _ = watch(3, 4, 100, seed=2)
    # The third animal walks beside the arena, where only two of the four cameras can see it.
    beside = scene.truth_3d().points[:, 2] + [0, -400, 0]
    views = {}
    for name, p in truth.items():
        array = p.array.copy()
        array[:, 2, :, :2] = scene.cameras[name].project(beside)
        outside = ((array[:, 2, :, :2] < 0) | (array[:, 2, :, :2] > scene.cameras[name].size)).any(
            -1
        )
        array[:, 2][outside] = np.nan
        views[name] = replace(p, array=array)
    shuffled = shuffle_rows(views, rng)
    for count in (2, None):
        matched = match_views(shuffled, scene.cameras, individuals=count)
        two = {name: p.sel(individual=["mouse1", "mouse2"]) for name, p in truth.items()}
        for name, poses in matched.items():
            assert poses.array.shape[1] == 2
            assert (find_nearest(poses, two[name]) >= 0).mean() > 0.99
    assert "left out one that 2 of 4 cameras see, in 100 frames" in caplog.text
    assert match_views(shuffled, scene.cameras, individuals=3)["top"].array.shape[1] == 3


def hide_animal(views, truth, frames=slice(None)):
    """Hide the last animal from all cameras but the first one, for some frames."""
    hidden = {}
    for v, (name, p) in enumerate(views.items()):
        gone = np.zeros(p.array.shape[:2], bool)
        gone[frames] = v and find_nearest(p, truth[name])[frames] == truth[name].array.shape[1] - 1
        array = p.array.copy()
        array[gone] = np.nan
        hidden[name] = replace(p, array=array)
    return hidden


@pytest.mark.parametrize(("cameras", "named"), [(2, False), (3, True), (4, False), (6, True)])
def test_animal_that_one_camera_sees_is_found_without_their_number(cameras, named):
    scene, truth, views = watch(3, cameras, 200, seed=cameras, named=named)
    hidden = hide_animal(views, truth)
    matched = match_views(hidden, scene.cameras)
    first, *others = matched.values()
    assert first.array.shape[1] == 3
    share, _, _ = score(matched, truth)
    assert min(share.values()) > 0.99, share
    assert count_found({"": first}) > 0.95 * count_found({"": views[scene.cameras.names[0]]})
    seen = np.stack([p.find_present().sum(0) for p in (first, *others)])
    lonely = (seen[1:] < 10).all(0)
    assert lonely.sum() == 1 and seen[0, lonely] > 180


@pytest.mark.parametrize("named", [True, False])
def test_animal_that_leaves_its_nest_has_been_there_before(named):
    scene, truth, views = watch(3, 4, 200, seed=8, named=named)
    matched = match_views(hide_animal(views, truth, slice(0, 130)), scene.cameras)
    assert all(p.array.shape[1] == 3 for p in matched.values())
    share, _, _ = score(matched, truth)
    assert min(share.values()) > 0.99, share
    assert count_found({"": matched["top"]}) > 0.95 * count_found({"": views["top"]})


def test_animal_seen_by_one_camera_joins_when_another_sees_it():
    scene, truth, _ = watch(2, 3, 200, seed=4)
    views = {}
    for name, p in truth.items():
        array = p.array.copy()
        if name != "top":
            array[:80, 1] = np.nan  # for so long, the top camera alone sees the second one
        views[name] = replace(p, array=array)
    matched = match_views(views, scene.cameras)
    top = matched["top"]
    assert top.array.shape[1] == 2
    share, _, counted = score(matched, truth)
    assert share["top"] == 1.0 and counted["top"][:80].all()
    lonely = top.identity[:60][~np.isclose(top.identity[:60], 1, atol=1e-3)]
    assert len(lonely) and (lonely < 0.95).all()  # less certain than what others confirm


def test_animal_seen_by_one_camera_only_keeps_its_track():
    scene, truth, _ = watch(2, 2, 100, seed=4)
    views = {"top": truth["top"], "cam1": truth["cam1"].sel(individual="mouse1")}
    matched = match_views(views, scene.cameras)
    assert all(p.array.shape[1] == 2 for p in matched.values())
    assert np.isfinite(matched["top"].points).all(-1).any(-1).all()
    assert (np.isfinite(matched["cam1"].points).all(-1).any(-1).sum(0) == [100, 0]).all()


def test_single_animal_and_false_detections():
    scene, truth, views = watch(1, 3, 150, named=False, flaws=Flaws(spurious=0.3))
    matched = match_views(views, scene.cameras, individuals=1)
    for name, poses in matched.items():
        right = find_nearest(poses, truth[name]) == 0
        assert right.mean() > 0.97
    # Without the number, false detections still make no animal.
    assert match_views(views, scene.cameras)["top"].array.shape[1] == 1


def test_single_keypoint(rng):
    """Points without a shape: geometry over four cameras and motion alone tell them apart."""
    ring = make_ring(4, radius=800, height=600, focal=800)
    t = np.arange(200)[:, None] / 20
    phase = np.array([0.0, 2.1, 4.2])
    path = np.stack(
        [150 * np.cos(t + phase), 150 * np.sin(1.3 * t + phase), 20 + 0 * t + 0 * phase], -1
    )
    pixels = ring.project(path) + rng.normal(size=(4, 200, 3, 2))
    skeleton = Skeleton(["body"])
    truth, views = {}, {}
    for name, p in zip(ring.names, pixels, strict=True):
        array = np.concatenate([p, np.ones((200, 3, 1))], -1)[:, :, None]
        truth[name] = Poses(array, skeleton, ["a", "b", "c"])
        order = rng.random((200, 3)).argsort(1)[..., None, None]
        views[name] = Poses(np.take_along_axis(array, order, axis=1), skeleton)
    matched = match_views(views, ring, individuals=3)
    assert min(score(matched, truth)[0].values()) > 0.99


def test_left_and_right_are_put_right():
    scene, truth, _ = watch(2, 3, 150, seed=6)
    rng = np.random.default_rng(0)
    skeleton = scene.skeleton
    views, wrong = {}, {}
    for name, p in truth.items():
        array = p.array.copy()
        array[..., :2] += rng.normal(size=array[..., :2].shape)
        wrong[name] = rng.random(array.shape[:2]) < 0.1
        for left, right in skeleton.mirror:
            pair = [skeleton.index(left), skeleton.index(right)]
            picked = array[wrong[name]]
            picked[:, pair] = picked[:, pair[::-1]]
            array[wrong[name]] = picked
        views[name] = replace(p, array=array)
    kept = match_views(views, scene.cameras, individuals=truth["top"].names, mirror=False)
    matched = match_views(views, scene.cameras, individuals=truth["top"].names)
    names = [k for pair in skeleton.mirror for k in pair]
    for name, p in truth.items():
        exact = p.sel(keypoint=names).points
        # Pairs seen so nearly on edge that the two sides coincide decide nothing.
        apart = np.linalg.norm(exact[:, :, 0::2] - exact[:, :, 1::2], axis=-1) > 8
        apart = np.repeat(apart, 2, axis=-1)
        for poses, least, most in ((kept, 0.05, 0.15), (matched, 0.0, 0.005)):
            gap = np.linalg.norm(poses[name].sel(keypoint=names).points - exact, axis=-1)
            assert least <= (gap[apart] > 6).mean() <= most, (name, least)


def test_identity_is_a_probability():
    """On crowded scenes seen by two poor cameras, it says how often names are right."""
    flaws = Flaws(jitter=3, missing=0.3, lost=0.05, swapped=0.05, merged=0.6)
    sure, right = [], []
    for animals, seed in ((5, 0), (8, 4)):
        scene, truth, views = watch(animals, 2, 200, seed=seed, named=False, flaws=flaws)
        matched = match_views(views, scene.cameras, individuals=animals)
        _, good, counted = score(matched, truth)
        for name in truth:
            sure.append(matched[name].identity[counted[name]])
            right.append(good[name][counted[name]])
    sure, right = np.concatenate(sure), np.concatenate(right)
    assert (~right).sum() > 100  # it is a scene in which animals are mistaken
    assert ((sure >= 0) & (sure <= 1)).all()
    assert abs(sure.mean() - right.mean()) < 0.1
    assert right[sure > 0.999].mean() > 0.99
    assert (sure[~right] > 0.999).mean() < 0.1 < (sure[right] > 0.999).mean()


def test_gaps_in_frames_and_a_view_without_detections():
    scene, truth, _ = watch(2, 4, 200, seed=7)
    numbers = np.r_[0:80, 110:200]
    views = {name: p.sel(frames=numbers) for name, p in truth.items()}
    blind = views["cam3"]
    views["cam3"] = replace(blind, array=np.full_like(blind.array, np.nan))
    seen = []
    matched = match_views(views, scene.cameras, on_progress=lambda *done: seen.append(done))
    assert seen[-1] == (170, 170)
    assert not np.isfinite(matched["cam3"].points).any()
    assert np.isnan(matched["cam3"].identity).all()
    np.testing.assert_array_equal(matched["top"].frames, numbers)
    for name in ("top", "cam1", "cam2"):
        np.testing.assert_array_equal(matched[name].array, views[name].array)


def test_nothing_at_all_gives_nothing():
    scene, truth, _ = watch(2, 2, 20)
    empty = {n: replace(p, array=np.full_like(p.array, np.nan)) for n, p in truth.items()}
    assert match_views(empty, scene.cameras)["top"].array.shape[:2] == (20, 0)
    found = match_views(empty, scene.cameras, individuals=2)["top"]
    assert found.array.shape[:2] == (20, 2) and not (found.confidence > 0).any()


@pytest.mark.parametrize("named", [True, False])
def test_views_are_named_part_by_part_as_a_whole(monkeypatch, named, tmp_path):
    scene, _, views = watch(2, 3, 120, named=named)
    cameras = add_station(scene.cameras, scene.cameras["cam1"], 50)
    cov = np.eye(2, dtype=np.float32) * np.arange(120)[:, None, None, None, None]
    for name, view in views.items():
        shape = (*view.array.shape[:3], 2, 2)
        views[name] = replace(view, covariance=np.broadcast_to(cov, shape))
    whole = match_views(views, cameras)
    monkeypatch.setattr("mapose.shelf._BLOCK", 2000)
    monkeypatch.setattr("mapose.shelf._MOST", 0)  # all lies in files
    read = []

    def open_view(view):
        def take(rows):
            read.append(rows.stop - rows.start)
            return view.take(rows)

        return Parts(take, view.frames, size=17)

    with Shelf(tmp_path) as shelf:
        opened = {name: open_view(view) for name, view in views.items()}
        found = match_parts(opened, cameras, options=MatchOptions(), shelf=shelf)
        assert list(found) == list(whole)
        assert max(read) <= 17
        for name, parts in found.items():
            for part in (parts.read(slice(40, 60)), parts.join()[0]):
                own = whole[name].sel(frames=part.frames)
                assert part.names == own.names
                for field in ("array", "identity", "covariance"):
                    np.testing.assert_array_equal(getattr(part, field), getattr(own, field))


@pytest.mark.parametrize("named", [True, False])
def test_names_do_not_depend_on_how_a_recording_is_cut(rng, monkeypatch, tmp_path, named):
    """Animals that hide, tracks that swap, keypoints that are missing: blocks of a few frames."""
    scene, _, views = watch(3, 2, 120, named=named)
    for name, view in views.items():
        array = view.array.copy()
        array[rng.random(array.shape[:2]) < 0.1] = np.nan
        array[rng.random(array.shape[:3]) < 0.1] = np.nan
        array[20:25] = array[20:25, ::-1]
        array[40:80] = np.nan  # longer than anybody is followed
        views[name] = replace(view, array=array)
    whole = match_views(views, scene.cameras)
    sure = np.concatenate([view.identity[np.isfinite(view.identity)] for view in whole.values()])
    assert len(np.unique(sure.round(3))) > 2  # joins are in doubt
    monkeypatch.setattr("mapose.shelf._BLOCK", 1000)
    monkeypatch.setattr("mapose.shelf._MOST", 0)
    with Shelf(tmp_path) as shelf:
        opened = {name: Parts.of(view) for name, view in views.items()}
        found = match_parts(opened, scene.cameras, options=MatchOptions(), shelf=shelf)
        for name, parts in found.items():
            poses = parts.join()[0]
            assert poses.names == whole[name].names
            np.testing.assert_array_equal(poses.array, whole[name].array)
            np.testing.assert_array_equal(poses.identity, whole[name].identity)


def test_who_comes_first_stands_first(monkeypatch):
    monkeypatch.setattr("mapose.shelf._BLOCK", 16 * 2 * 4)  # blocks of four frames
    assigned = np.full((30, 1, 2), -1)
    assigned[9:, 0, 0], assigned[2:8, 0, 1] = 0, 1
    names, place = choose_names([None], assigned, None)
    assert names == ["track0", "track1"] and place.tolist() == [1, 0]


def test_companions_travel_along():
    scene, truth, _ = watch(2, 2, 40)
    views = {}
    for name, p in truth.items():
        spread = np.arange(p.array[..., 0].size, dtype=np.float32).reshape(p.array.shape[:3])
        covariance = spread[..., None, None] * np.eye(2, dtype=np.float32)
        views[name] = replace(p, covariance=covariance, array=p.array[:, ::-1])
    matched = match_views(views, scene.cameras, mirror=False)
    for name, p in matched.items():
        np.testing.assert_array_equal(p.covariance, views[name].covariance)


HAND = Skeleton(["hand"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: {"top": v["top"]}, "at least two views"),
        (lambda v: {"topp": v["top"], "cam1": v["cam1"]}, "did you mean 'top'"),
        (
            lambda v: {**v, "cam1": replace(v["cam1"], frames=v["cam1"].frames + 99)},
            "no frame of top, cam1",
        ),
        (lambda v: {**v, "cam1": replace(v["cam1"], rate=50)}, "different frame rates"),
        (
            lambda v: {**v, "cam1": replace(v["cam1"].sel(keypoint=["nose"]), skeleton=HAND)},
            r"none of its keypoints \(hand\)",
        ),
        (lambda v: {k: p.sel(frames=[]) for k, p in v.items()}, "at least one frame"),
    ],
)
def test_views_that_do_not_fit_are_refused(change, message):
    scene, truth, _ = watch(1, 2, 10)
    with pytest.raises(ShapeError, match=message):
        match_views(change(truth), scene.cameras)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"individuals": 0}, "number from 1"),
        ({"individuals": "two"}, "number from 1"),
        ({"individuals": ["a", "a"]}, "different names"),
        ({"individuals": []}, "different names"),
        ({"max_gap": 0}, "max_gap"),
        ({"min_frames": 0}, "min_frames"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    scene, truth, _ = watch(1, 2, 10)
    with pytest.raises(SettingsError, match=message):
        match_views(truth, scene.cameras, **options)


def read_association(folder):
    """Read which detection is which person: {(camera, frame, person): detection}."""
    with (folder / "association_first50.csv").open(encoding="utf-8") as file:
        return {
            (r["camera"], int(r["frame"]), r["person"]): int(r["detection"])
            for r in csv.DictReader(file)
            if r["detection"]
        }


@pytest.mark.parametrize("kind", ["two_people", "one_person"])
@pytest.mark.parametrize("calibration", ["scene", "qualisys"])
def test_people_keep_their_names(recordings, kind, calibration):
    """Unordered detections of four cameras, with a bystander in two of them."""
    folder = recordings / "people_4cam"
    lenses = CameraGroup.load(folder / f"calibration/Calib_{calibration}.toml", "m")
    names = [f"cam{i + 1:02d}" for i in range(4)]
    cameras = CameraGroup([replace(c, name=n) for c, n in zip(lenses, names, strict=True)], "m")
    views = {n: read_openpose_poses(folder / kind / "pose" / f"{n}_json") for n in names}
    people = {"two_people": 2, "one_person": 1}[kind]
    truth = read_association(folder / kind)
    for count in (people, None):
        matched = match_views(views, cameras, individuals=count, mirror=False)
        assert all(p.array.shape[1] == people for p in matched.values())
        rows = {}
        for (camera, frame, person), detection in truth.items():
            mine = views[camera].array[frame, detection]
            same = [(np.array_equal(mine, a, equal_nan=True)) for a in matched[camera].array[frame]]
            rows.setdefault(person, set()).add(same.index(True) if any(same) else -1)
        assert sorted(rows.values(), key=sorted) == [{i} for i in range(people)]
        for poses in matched.values():
            found = poses.find_present()
            assert found.mean() > 0.98


def test_rats_are_told_apart(recordings):
    """Two body centres in six cameras at eight moments ten seconds apart, exact pixels."""
    folder = recordings / "rats_6cam_com"
    cameras = CameraGroup.load(folder / "calibration.toml", "mm")
    with (folder / "labels_2d.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    moments = sorted({int(r["frame"]) for r in rows if r["camera"] == "Camera1"})
    rng = np.random.default_rng(0)
    truth, views, mixed = {}, {}, {}
    for name in cameras.names:
        mine = [r for r in rows if r["camera"] == name]
        frames = sorted({int(r["frame"]) for r in mine})
        array = np.full((len(frames), 2, 1, 3), np.nan)
        for r in mine:
            if r["visible"] == "1":
                who = int(r["individual"].removeprefix("rat"))
                array[frames.index(int(r["frame"])), who, 0] = float(r["x"]), float(r["y"]), 1
        skeleton = Skeleton(["com"])
        truth[name] = Poses(array, skeleton, ["rat0", "rat1"], frames=moments)
        views[name] = replace(truth[name], array=array[:, rng.permutation(2)])
        order = rng.random((len(frames), 2)).argsort(1)[..., None, None]
        shuffled = np.take_along_axis(array, order, axis=1)
        mixed[name] = Poses(shuffled, skeleton, frames=moments)
    matched = match_views(views, cameras)
    share, _, counted = score(matched, truth)
    assert min(share.values()) == 1.0
    assert sum(c.sum() for c in counted.values()) == count_found(truth)
    # Without names nobody can know who is who ten seconds later, but all cameras must agree.
    matched = match_views(mixed, cameras, individuals=2)
    who = np.stack([find_nearest(matched[n], truth[n]) for n in cameras.names])
    seen = who >= 0
    assert seen.sum() == count_found(truth)
    most, least = who.max(0), np.where(seen, who, 9).min(0)
    assert (most == least)[seen.any(0)].all()
