import numpy as np
import pytest

from mapose.plots.tags import TagPlacer, draw_tag, find_tag_shape, find_text_size


def overlap(corner: np.ndarray, shape: tuple[int, int], box: np.ndarray) -> bool:
    x, y = corner
    height, width = shape
    return x < box[2] and x + width > box[0] and y < box[3] and y + height > box[1]


def test_text_grows_with_the_image() -> None:
    sizes = [find_text_size((side, side, 3)) for side in (64, 192, 480, 1080, 4000)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 8


@pytest.mark.parametrize("name", ["mouse", "Ägypten", "", "x" * 60])
def test_tag_fills_the_shape_it_tells(name: str) -> None:
    image = np.zeros((60, 900, 3), np.uint8)
    draw_tag(image, name, (5, 7), size=12, fill=(200, 100, 50), opacity=1)
    height, width = find_tag_shape(name, 12)
    rows, columns = np.nonzero(image.any(-1))
    assert rows.min() >= 7 and rows.max() < 7 + height
    assert columns.min() >= 5 and columns.max() < 5 + width
    assert (image[7 + height // 2, 6] == (200, 100, 50)).all()


def test_tag_is_cut_off_at_the_border() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    draw_tag(image, "animal", (-8, 12), size=12, fill=(255, 255, 255))
    assert image.any()
    before = image.copy()
    draw_tag(image, "animal", (500, 500), size=12)
    assert (image == before).all()


def test_letters_contrast_with_the_plate() -> None:
    for fill in ((250, 250, 200), (30, 10, 80)):
        image = np.zeros((30, 80, 3), np.uint8)
        draw_tag(image, "HHH", (0, 0), size=20, fill=fill, opacity=1)
        height, width = find_tag_shape("HHH", 20)
        plate = image[:height, :width].astype(int).sum(-1)
        assert np.abs(plate - sum(fill)).max() > 300


def test_tags_keep_off_animals_and_each_other() -> None:
    placer = TagPlacer((480, 640), gap=4)
    boxes = np.array([[100.0, 100, 200, 160], [120, 60, 180, 95], [500, 0, 630, 60]])
    shapes = [(16, 50), (16, 60), (16, 70)]
    corners = placer.place(boxes, shapes)
    for i, corner in enumerate(corners):
        assert 0 <= corner[0] <= 640 - shapes[i][1] and 0 <= corner[1] <= 480 - shapes[i][0]
        assert not any(overlap(corner, shapes[i], box) for box in boxes)
    assert not overlap(corners[0], shapes[0], np.r_[corners[1], corners[1] + (60, 16)])


def test_absent_animal_has_no_tag() -> None:
    boxes = np.array([[np.nan] * 4, [10, 40, 50, 60]])
    corners = TagPlacer((100, 100), gap=2).place(boxes, [(10, 20)] * 2)
    assert np.isnan(corners[0]).all() and np.isfinite(corners[1]).all()


def test_tag_stays_on_its_side_while_it_fits() -> None:
    placer = TagPlacer((200, 200), gap=2)
    low = np.array([[80.0, 8, 120, 40]])  # no room above
    first = placer.place(low, [(14, 40)])[0]
    assert first[1] > 40
    # Above would do again by a small margin, but a tag that jumps to and fro is worse.
    again = placer.place(low + np.array([0, 12, 0, 12]), [(14, 40)])[0]
    assert again[1] > 40
