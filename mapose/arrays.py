"""Types of arrays, each of one dtype."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
#: Either of the two: what is measured takes both.
AnyFloats = npt.NDArray[np.floating]
Complexes = npt.NDArray[np.complex128]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
#: Pixels, (H, W) or (H, W, 3).
Image = npt.NDArray[np.uint8]
