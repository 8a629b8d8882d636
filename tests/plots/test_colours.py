import itertools

import numpy as np

from mapose.plots.colours import find_identity_colours, find_keypoint_colours

# What linear RGB looks like to normal, deutan, protan and tritan eyes (Machado et al. 2009).
EYES = np.array(
    [
        np.eye(3),
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ]
)
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def see(colours: np.ndarray) -> np.ndarray:
    """OKLab coordinates for each of the four kinds of eyes, (4, N, 3)."""
    c = colours / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    seen = np.einsum("eij,nj->eni", EYES, linear).clip(0)
    return np.cbrt(seen @ TO_CONES.T) @ TO_LAB.T


def test_identity_colours_differ_for_every_kind_of_eye() -> None:
    seen = see(find_identity_colours(20))
    for a, b in itertools.combinations(range(20), 2):
        assert np.linalg.norm(seen[:, a] - seen[:, b], axis=-1).min() > 0.06, (a, b)


def test_identity_colour_depends_on_the_index_only_and_repeats_after_twenty() -> None:
    assert (find_identity_colours(3) == find_identity_colours(45)[:3]).all()
    assert (find_identity_colours(21)[20] == find_identity_colours(1)[0]).all()
    assert find_identity_colours(0).shape == (0, 3)


def test_keypoint_colours_differ_and_have_one_lightness() -> None:
    colours = find_keypoint_colours(17)
    assert colours.shape == (17, 3) and colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == 17
    assert np.ptp(see(colours)[0, :, 0]) < 0.06
    assert find_keypoint_colours(1).shape == (1, 3)
