"""Drawn animals with exact truth: videos, several cameras, detections as networks make them."""

from mapose.synthetic.arena import Arena
from mapose.synthetic.scene import Scene, make_cameras, make_scene

__all__ = ["Arena", "Scene", "make_cameras", "make_scene"]
