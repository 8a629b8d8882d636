"""Cameras from what animals show, without a board: calibrated, or checked for drift."""
