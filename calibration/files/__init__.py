"""Cameras in the files of other tools."""
