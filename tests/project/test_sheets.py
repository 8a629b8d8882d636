"""Sheets of labelled frames show every label where it is."""

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import SettingsError
from mapose.files import read_mark
from mapose.io import read_image
from mapose.plots import draw_sheet
from mapose.plots.colours import find_keypoint_colours
from mapose.project import import_project, save_sheets
from mapose.skeleton import Skeleton

BODY = Skeleton(["nose", "tail"], [("nose", "tail")])


def test_points_are_drawn_where_they_are_marked():
    """On a bright spot of the picture lies its keypoint, in its colour, also off the border."""
    image = np.zeros((200, 300), np.uint8)
    points = np.array([[[270.0, 150.0], [298.0, 180.0]]])
    sheet = draw_sheet([(image, points, "a"), (image, points * np.nan, "b")], BODY)
    assert sheet.shape[1] == 640 and sheet.shape[0] > 320
    scale = 320 / 48
    corner = np.array([284.0, 165.0]) - 24
    for point, colour in zip(points[0], find_keypoint_colours(2), strict=True):
        x, y = np.round((point - corner) * scale + 0.5 * (scale - 1)).astype(int)
        assert np.abs(sheet[y, x].astype(int) - colour).max() < 40
    assert (sheet[160, 315, :] == 128).all()  # beyond the right border of the picture


def test_all_labels_of_a_project(recordings, tmp_path):
    source = recordings / "openfield_mouse" / "labeled-data" / "m4s1"
    project, _ = import_project(tmp_path / "mouse", source, count=30)
    places = list(save_sheets(project))
    assert [p.name for p in places] == [f"m4s1-{n}.png" for n in (1, 2)]
    assert read_image(places[0]).shape[1] == 1600
    assert read_mark(places[0]).startswith("mapose plot")
    done = CliRunner().invoke(app, ["plot", str(project.path)])  # made anew
    assert done.exit_code == 0 and "m4s1-2.png" in done.output
    places[1].write_bytes(b"a person's own")
    with pytest.raises(SettingsError, match="--force"):
        list(save_sheets(project))
    assert len(list(save_sheets(project, tmp_path / "other"))) == 2
