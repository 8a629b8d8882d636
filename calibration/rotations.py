"""Rotation vectors to matrices and back, many at once."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.arrays import Floats


def turn(vectors: Floats) -> Floats:
    """Make rotation matrices (..., 3, 3) of vectors (..., 3) in radians: Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    cross = np.zeros((*vectors.shape, 3))
    x, y, z = np.moveaxis(vectors, -1, 0)
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -z, y, -x
    cross -= np.swapaxes(cross, -1, -2)
    # sin(a) / a and (1 - cos(a)) / a^2, which numpy's sinc keeps exact near 0.
    first, second = np.sinc(angle / np.pi), 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross))


def unturn(rotations: Floats) -> Floats:
    """Make rotation vectors (..., 3) of rotation matrices (..., 3, 3)."""
    flat = rotations.reshape(-1, 3, 3)
    vectors = [cv2.Rodrigues(r)[0].ravel() if np.isfinite(r).all() else r[0] for r in flat]
    return np.array(vectors, np.float64).reshape(rotations.shape[:-1])
