"""The one exception that calibration raises on purpose."""


class CalibrationError(ValueError):
    """Cameras, points or a calibration file cannot be used.

    The message says what was wanted, what came, and what to do next.
    """
