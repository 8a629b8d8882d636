"""Colours of individuals and keypoints, the same in videos and in figures."""

import numpy as np

from mapose.arrays import Image

# Found by greedy search in OKLab: each next colour is the one farthest from all before it, seen
# with normal vision and with the three kinds of colour blindness (Machado et al. 2009); any two of
# the twenty stay 0.06 apart in all four, three times what can just be told apart. None is dark
# or pale, so that they show on video as well as on paper.
_IDENTITY = np.frombuffer(
    bytes.fromhex(
        "f59a14 4fb3f0 d6409f 3ddc97 247800 9060fc a8009c c08460 7830d8 b4ccfc"
        "e40024 1890cc 84546c ccd800 cc9cc0 fc6c90 b46060 fcb4cc 606ccc 9084fc"
    ),
    np.uint8,
).reshape(-1, 3)


def find_identity_colours(count: int) -> Image:
    """Give each individual a colour that depends on its place only.

    Parameters
    ----------
    count : int
        Number of individuals. Twenty colours differ for people with any kind of colour vision;
        after that they start again.

    Returns
    -------
    uint8, (count, 3)
        Red, green, blue.

    References
    ----------
    Machado, Oliveira, Fernandes 2009, IEEE TVCG 15:1291 (simulated colour blindness).

    Examples
    --------
    >>> find_identity_colours(2).tolist()
    [[245, 154, 20], [79, 179, 240]]
    """
    return _IDENTITY[np.arange(count) % len(_IDENTITY)]


def find_keypoint_colours(count: int) -> Image:
    """Spread hues evenly over the keypoints, at one perceived lightness.

    Neighbours in the list of keypoints get neighbouring hues, so that left and right, or the
    parts of a leg, look related.

    Parameters
    ----------
    count : int
        Number of keypoints.

    Returns
    -------
    uint8, (count, 3)
        Red, green, blue.

    References
    ----------
    Ottosson 2020, "A perceptual color space for image processing" (OKLab).
    """
    # From red over yellow and green to violet; the gap keeps the ends apart.
    hue = np.radians(np.linspace(15, 335, max(count, 1))[:count])
    lightness, chroma = 0.76, 0.155
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ],
        axis=-1,
    ).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * encoded).round().astype(np.uint8)
