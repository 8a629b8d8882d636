"""Drawn animals with exact truth: videos, several cameras, detections as networks make them."""

from mapose.synthetic.arena import Arena
from mapose.synthetic.detections import Flaws, degrade, make_peaks
from mapose.synthetic.scene import Scene, make_cameras, make_scene

__all__ = ["Arena", "Flaws", "Scene", "degrade", "make_cameras", "make_peaks", "make_scene"]
