"""MATLAB's files, against SciPy's reader; and damaged in every byte, which ended the process."""

import io

import numpy as np
import pytest
from scipy.io import savemat

from calibration import CalibrationError
from calibration.files.mat5 import read_mat5

VALUES = {
    "K": np.arange(9.0).reshape(3, 3),
    "small": np.array([[1, 2, 250]], np.uint8),
    "wide": np.array([[-5, 2**30]], np.int64),
    "name": "Camera1",
    "rows": np.array(["abc", "de "]),
    "cell": np.array(["x", "yy", np.eye(2)], object),
    "params": {"t": np.ones((1, 3)), "inner": {"deep": "text"}},
}


def pack(compressed: bool) -> bytes:
    file = io.BytesIO()
    savemat(file, VALUES, do_compression=compressed)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_all_kinds_come_back(compressed: bool) -> None:
    found = read_mat5(pack(compressed), tuple(VALUES))
    for name in ("K", "small", "wide"):
        assert np.array_equal(found[name], VALUES[name]) and found[name].shape == VALUES[name].shape
    assert found["name"] == "Camera1" and found["rows"] == ["abc", "de"]
    assert found["cell"][:2] == ["x", "yy"] and np.array_equal(found["cell"][2], np.eye(2))
    assert found["params"]["inner"] == {"deep": "text"}
    assert np.array_equal(found["params"]["t"], np.ones((1, 3)))
    assert list(read_mat5(pack(compressed), ("name", "none"))) == ["name"]


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_told(compressed: bool) -> None:
    data, told = pack(compressed), 0
    for at in range(100, len(data), 3):
        hurt = bytearray(data)
        hurt[at : at + 4] = (2**31 - 1).to_bytes(4, "little")
        for damaged in (bytes(hurt), data[:at]):
            try:
                read_mat5(damaged, tuple(VALUES))
            except CalibrationError:
                told += 1
    assert told > len(data) / 10


def test_an_array_is_as_large_as_its_data() -> None:
    data = pack(compressed=False)
    sides = np.array([3, 3], "<i4").tobytes()
    with pytest.raises(CalibrationError, match=r"K wants \d+ numbers, 9 are there"):
        read_mat5(data.replace(sides, np.array([2**16, 2**16], "<i4").tobytes(), 1), ("K",))
