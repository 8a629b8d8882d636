"""Tests of mapose and calibration; `python -m tests` runs them, as README says."""
