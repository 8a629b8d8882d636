"""What is known of any lens before a board was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import Floats
from calibration.camera import Camera


@dataclass(frozen=True)
class LensPrior:
    """Mild expectations of a lens, as standard deviations.

    They hold what the views of the board do not determine, and vanish beside what they do: a lens
    seen well is known a hundred times better than any of these.

    Parameters
    ----------
    focal : float
        Of the focal length, relative to the start. Default 0.3: what a data sheet or a first
        guess from the field of view gives.
    aspect : float
        Of the ratio of fx to fy, relative to the start. Default 0.02: pixels are square but for
        videos that were resized, for which the start says so.
    centre : float
        Of each coordinate of the principal point about the start, as a share of the image's
        longer side. Default 0.05.
    radial : float
        Of what each radial coefficient moves the corner of the image, as a share of its distance
        from the centre, about none at all. Default 0.3: a strong barrel.
    tangential : float
        The same for p1 and p2. Default 0.02: lenses are mounted to a degree.
    """

    focal: float = 0.3
    aspect: float = 0.02
    centre: float = 0.05
    radial: float = 0.3
    tangential: float = 0.02

    def find_information(self, camera: Camera) -> tuple[Floats, Floats]:
        """Turn the expectations into a quadratic form of the lens.

        Parameters
        ----------
        camera : Camera
            The start.

        Returns
        -------
        information : float64, (5 + D, 5 + D)
            Inverse covariance of fx fy cx cy skew and the coefficients.
        middle : float64, (5 + D,)
            Where it has its minimum.
        """
        n = len(camera.distortion)
        middle, information = np.zeros(5 + n), np.zeros((5 + n, 5 + n))
        fx, fy = camera.matrix[0, 0], camera.matrix[1, 1]
        middle[:4] = fx, fy, camera.matrix[0, 2], camera.matrix[1, 2]
        middle[4] = camera.matrix[0, 1]
        # In logarithms: the mean of both, and their difference.
        both, ratio = np.array([0.5 / fx, 0.5 / fy]), np.array([1 / fx, -1 / fy])
        information[:2, :2] = np.outer(both, both) / self.focal**2
        information[:2, :2] += np.outer(ratio, ratio) / self.aspect**2
        information[[2, 3], [2, 3]] = 1 / (self.centre * max(camera.size)) ** 2
        # The skew is only ever set free by those who expect one.
        information[4, 4] = 1 / (self.aspect * fx) ** 2
        widths = self._find_widths(camera)[:n]
        information[np.arange(5, 5 + n), np.arange(5, 5 + n)] = 1 / widths**2
        return information, middle

    def _find_widths(self, camera: Camera) -> Floats:
        """Turn effects in the corner into deviations (8,) or (4,) of the coefficients."""
        far = np.hypot(*camera.size) / 2 / camera.focal
        if camera.model == "fisheye":
            # The image's radius is about the angle; lenses end near 100 degrees off their axis.
            return np.asarray(self.radial / min(far, 1.75) ** (2 * np.arange(1, 5)))
        powers = self.radial / far ** (2 * np.arange(1, 4))
        tangential = [self.tangential / far] * 2
        return np.array([*powers[:2], *tangential, powers[2], *powers])
