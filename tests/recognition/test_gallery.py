import json

import numpy as np
import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import FormatError, ShapeError
from mapose.recognition.appearance import Appearance, load_appearance
from mapose.recognition.crops import BodyTemplate
from mapose.recognition.gallery import (
    UNKNOWN,
    Gallery,
    Spread,
    assign_names,
    find_probabilities,
    load_gallery,
)
from mapose.recognition.network import AppearanceNetwork

D = 32


@pytest.fixture(scope="module")
def appearance():
    template = BodyTemplate(np.array([[0, -1.0], [0, 1]]), np.ones(2), np.array([[0, 1]]))
    return Appearance(AppearanceNetwork(1, D), template, ("head", "tail"), 1, {"steps": 3})


@pytest.fixture
def places(rng):
    """Where five animals lie: unit vectors, nearly at right angles."""
    return np.linalg.qr(rng.normal(size=(D, 5)))[0].T


def draw(rng, place, n, noise=0.06):
    vectors = place + rng.normal(0, noise, (n, D))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def gallery(rng, appearance, places):
    made = Gallery(appearance)
    for name, place in zip(("Anna", "Bea", "Cleo"), places, strict=False):
        made = made.add(name, draw(rng, place, 120), day="monday")
    return made


def lay(pieces, frames=100):
    """Lay tracklets (start, vectors) into an array (F, I, D), a measurement every second frame."""
    found = np.full((frames, len(pieces), D), np.nan)
    for i, (start, vectors) in enumerate(pieces):
        found[start : start + 2 * len(vectors) : 2, i] = vectors
    return found


def test_animals_are_named_and_strangers_are_not(rng, gallery, places):
    order = [2, 0, 4, 1]  # the third is a stranger
    names, sure = gallery.name(lay([(0, draw(rng, places[k], 12)) for k in order]))
    assert names == ["Cleo", "Anna", UNKNOWN, "Bea"] and (sure > 0.9).all()


def test_one_name_is_given_once_at_a_time(rng, gallery, places):
    near = places[0] + 0.35 * places[1]
    together = lay([(0, draw(rng, near, 20)), (10, draw(rng, places[0], 20))])
    names, _ = gallery.name(together)
    assert names[1] == "Anna" and names[0] != "Anna"
    apart = lay([(0, draw(rng, places[0], 12)), (50, draw(rng, places[0], 12))])
    assert gallery.name(apart)[0] == ["Anna", "Anna"]
    # There at the same time, though never measured in the same frame.
    present = np.zeros((100, 2), bool)
    present[:, 0], present[20:80, 1] = True, True
    names, _ = gallery.name(apart, present=present)
    assert names.count("Anna") == 1


def test_what_was_never_measured_has_no_name(rng, gallery, places):
    names, sure = gallery.name(lay([(0, draw(rng, places[1], 9)), (0, np.empty((0, D)))]))
    assert names == ["Bea", UNKNOWN] and sure[0] > 0.9 and np.isnan(sure[1])
    assert gallery.name(np.empty((5, 0, D)))[0] == []


def test_look_alikes_get_honest_probabilities(rng, appearance, places):
    twins = Gallery(appearance)
    for name in ("Anna", "Bea"):
        twins = twins.add(name, draw(rng, places[0], 120))
    rows = [gallery_name(twins, draw(rng, places[0], 12)) for _ in range(40)]
    assert all(name in ("Anna", "Bea") for name, _ in rows)
    assert np.mean([sure for _, sure in rows]) < 0.8
    assert "look alike" in str(twins)


def gallery_name(gallery, vectors):
    names, sure = gallery.name(lay([(0, vectors)]))
    return names[0], sure[0]


def test_a_stranger_begins_a_third_of_the_way_to_the_others():
    far = Spread(inner=0.01, outer=0.64)
    assert far.limit == pytest.approx(0.04)
    assert far.slope * np.log(far.limit / far.inner) == pytest.approx(np.log(99))
    near = Spread(inner=0.1, outer=0.05)
    assert near.limit == pytest.approx(0.12) and near.slope == 6


def test_the_spread_is_between_pieces_and_to_the_nearest_others(appearance):
    one, two, three = np.eye(3, D)
    half = (one + two) / np.sqrt(2)
    pair = Gallery(appearance, {"Anna": np.stack([one, half])}, {"Anna": ("", "")})
    # Each of two against the other, not against the mean of both; nobody else is known.
    assert pair.spread.inner == pytest.approx(1 - np.sqrt(0.5), abs=1e-6)
    assert pair.spread.outer == 1
    rows = np.stack([one] * 18 + [half] * 2)
    both = Gallery(appearance, {"Anna": rows, "Bea": two[None]}, {"Anna": ("",) * 20, "Bea": ("",)})
    assert both.spread.outer < 0.5  # one in ten of Anna's looks like Bea
    single = Gallery(appearance, {"Anna": one[None], "Bea": two[None]}, {})
    assert single.spread.inner == 0.05 and single.spread.outer == 1
    # A look that is the very same is no infinity.
    names, sure = single.name(lay([(0, one[None]), (0, three[None])]))
    assert names == ["Anna", UNKNOWN] and 0.9 < sure[0] < 1


def test_an_empty_gallery_knows_nobody(rng, appearance, places):
    names, sure = Gallery(appearance).name(lay([(0, draw(rng, places[0], 5))]))
    assert names == [UNKNOWN] and sure[0] == 1
    one = Gallery(appearance).add("Anna", draw(rng, places[0], 100))
    assert gallery_name(one, draw(rng, places[0], 12))[0] == "Anna"
    assert gallery_name(one, draw(rng, places[1], 12))[0] == UNKNOWN


def test_adding_keeps_the_old_and_refuses_what_does_not_fit(rng, gallery, places):
    vectors = draw(rng, places[0], 40)
    vectors[5] = np.nan
    more = gallery.add("Anna", vectors, day="tuesday")
    assert len(gallery.pieces["Anna"]) == 12 and len(more.pieces["Anna"]) == 16
    assert more.days["Anna"] == ("monday",) * 12 + ("tuesday",) * 4
    np.testing.assert_allclose(np.linalg.norm(more.pieces["Anna"], axis=1), 1, atol=1e-6)
    with pytest.raises(ShapeError, match=r"embeddings \(F, 32\), came \(3, 7\)"):
        gallery.add("Anna", np.ones((3, 7)))
    with pytest.raises(ShapeError, match="cannot be called"):
        gallery.add("unknown", vectors)
    with pytest.raises(ShapeError, match="cannot be called"):
        gallery.add("unknown-track3", vectors)
    assert gallery.add("Dora", np.full((9, D), np.nan)).name(lay([(0, vectors[:4])]))[0] == ["Anna"]


def test_galleries_merge_only_with_the_same_network(rng, gallery, appearance, places):
    other = Gallery(appearance).add("Anna", draw(rng, places[0], 20), day="tuesday")
    other = other.add("Dora", draw(rng, places[3], 20), day="tuesday")
    both = gallery.merge(other)
    assert both.names == ("Anna", "Bea", "Cleo", "Dora")
    assert len(both.pieces["Anna"]) == 14 and set(both.days["Anna"]) == {"monday", "tuesday"}
    foreign = Appearance(AppearanceNetwork(1, D), appearance.template, appearance.keypoints, 1)
    with pytest.raises(ShapeError, match="different networks"):
        gallery.merge(Gallery(foreign))


def test_gallery_is_one_file_without_pickles(tmp_path, rng, gallery, places):
    path = tmp_path / "mice.gallery"
    gallery.save(path)
    with safe_open(path, "np") as file:  # nothing but arrays and a text
        assert "Anna" in file.metadata()["mapose"]
    again = load_gallery(path)
    assert again.names == gallery.names and again.days == gallery.days
    found = lay([(0, draw(rng, places[1], 10)), (0, draw(rng, places[3], 10))])
    for one, two in zip(again.name(found), gallery.name(found), strict=True):
        assert np.array_equal(one, two)
    assert again.appearance.hash == gallery.appearance.hash
    crops = rng.integers(0, 255, (3, 48, 48, 1), np.uint8)
    np.testing.assert_array_equal(again.appearance.embed(crops), gallery.appearance.embed(crops))
    assert [p.name for p in tmp_path.iterdir()] == ["mice.gallery"]


def test_bad_files_are_explained(tmp_path, gallery):
    with pytest.raises(FormatError, match="no file mice"):
        load_gallery(tmp_path / "mice.gallery")
    (tmp_path / "notes.txt").write_text("mice", encoding="utf-8")
    with pytest.raises(FormatError, match="not a file of mapose, or damaged"):
        load_gallery(tmp_path / "notes.txt")
    gallery.appearance.save(tmp_path / "looks")
    with pytest.raises(FormatError, match="wanted a saved gallery"):
        load_gallery(tmp_path / "looks")
    assert load_appearance(tmp_path / "looks").record == {"steps": 3}
    whole = (tmp_path / "looks").read_bytes()
    (tmp_path / "looks").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="damaged"):
        load_appearance(tmp_path / "looks")


def test_assignment_is_the_best_as_a_whole(rng):
    """Against trying all assignments."""
    for _ in range(20):
        scores = rng.normal(0, 3, (4, 4))
        present = rng.random((6, 4)) < 0.5
        together = (present.T.astype(int) @ present > 0) & ~np.eye(4, dtype=bool)
        best = -np.inf
        for code in np.ndindex(4, 4, 4, 4):
            names = np.array(code)
            clash = (names[:, None] == names) & (names < 3)[:, None] & together
            if not clash.any():
                best = max(best, scores[range(4), names].sum())
        found = assign_names(scores, present)
        assert scores[range(4), found].sum() == pytest.approx(best)
        sure = find_probabilities(scores, found, present)
        assert ((sure > 0) & (sure <= 1)).all()


def test_probability_weighs_the_exchange():
    scores = np.array([[0.0, -2.0, -30.0], [-1.0, 0.0, -30.0]])
    chosen = np.array([0, 1])
    apart = find_probabilities(scores, chosen, np.eye(2, dtype=bool))
    np.testing.assert_allclose(apart, [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))], rtol=1e-6)
    together = find_probabilities(scores, chosen, np.ones((1, 2), bool))
    np.testing.assert_allclose(together, 1 / (1 + np.exp(-3)), rtol=1e-6)


def test_who_loses_a_name_may_only_take_one_that_is_free():
    # The first and the third bear the same name at different times, the second meets both.
    scores = np.array([[0.0, -2.0, -9.0], [0.0, 0.0, -3.0], [0.0, -9.0, -9.0]])
    present = np.array([[True, True, False], [False, True, True]])
    sure = find_probabilities(scores, np.array([0, 1, 0]), present)
    assert sure[0] == pytest.approx(1 / (1 + np.exp(-2 - 3) + np.exp(-9)))


def test_command_lists_the_animals(tmp_path, gallery):
    gallery.save(tmp_path / "mice.gallery")
    run = CliRunner().invoke(app, ["gallery", "list", str(tmp_path / "mice.gallery")])
    assert run.exit_code == 0 and "Cleo" in run.output and "monday" in run.output
    run = CliRunner().invoke(app, ["gallery", "list", str(tmp_path / "mice.gallery"), "--json"])
    rows = json.loads(run.output)
    assert [a["name"] for a in rows["animals"]] == ["Anna", "Bea", "Cleo"]
    assert rows["limit"] > rows["own_distance"]
