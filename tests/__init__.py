"""Tests of mapose and calibration; `python -m tests` runs all that has to pass."""
