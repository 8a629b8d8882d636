"""What users of DeepLabCut, SLEAP and Anipose type first, and what has to be answered."""

import pickle

import h5py
import numpy as np
import pytest

from calibration import CalibrationError, read_cameras
from mapose.errors import FormatError
from mapose.io import read, read_labels


class Evil:
    """A pickle that leaves a file behind where it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["clipDLC_x_full.pickle", "clipDLC_x_assemblies.pickle", "a.pkl"])
def test_pickles_are_refused_kindly_and_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Evil(tmp_path / "opened")))
    for look in (read, read_labels):
        with pytest.raises(FormatError, match=r"pickles are never opened.*\.h5 or \.csv beside it"):
            look(tmp_path / name)
    with pytest.raises(CalibrationError, match=r"pickles are never opened.*calibration_images"):
        read_cameras(tmp_path / name)
    assert not (tmp_path / "opened").exists()


def test_projects_without_labels_say_what_to_take_of_them(tmp_path):
    spatial, anipose = tmp_path / "x-3d", tmp_path / "anipose"
    (spatial / "camera_matrix").mkdir(parents=True)
    text = "Task: x\nnum_cameras: 2\ncamera_names: [a, b]\nconfig_file_a: /x/config.yaml\n"
    (spatial / "config.yaml").write_text(text, encoding="utf-8")
    (spatial / "v_DLC_3D.csv").write_text("scorer,D,D,D\nbodyparts,a,a,a\ncoords,x,y,z\n")
    with pytest.raises(FormatError, match=r"3D project of DeepLabCut holds no labels"):
        read_labels(spatial)
    (anipose / "s1" / "pose-2d").mkdir(parents=True)
    (anipose / "config.toml").write_text('project = "x"\n', encoding="utf-8")
    with pytest.raises(FormatError, match=r"project of Anipose holds no labels.*pose-2d"):
        read_labels(anipose)


def test_points_of_sleap_anipose(tmp_path):
    points = np.arange(24.0).reshape(4, 1, 2, 3)
    points[2, 0, 1] = np.nan
    with h5py.File(tmp_path / "points3d.h5", "w") as file:
        file["tracks"] = points
    poses = read(tmp_path / "points3d.h5")
    assert poses.dimensions == 3 and poses.unit == "unknown"
    assert poses.skeleton.keypoints == ("node0", "node1")
    np.testing.assert_array_equal(poses.points, points.astype(np.float32))
    assert poses.confidence[2, 0].tolist() == [1, 0]
