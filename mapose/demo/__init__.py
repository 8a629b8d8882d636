"""The whole sentence on a drawn scene, in minutes on a laptop: `mapose demo`."""

from mapose.demo.demo import run_demo
from mapose.demo.result import DemoResult, Promise, find_promises

__all__ = ["DemoResult", "Promise", "find_promises", "run_demo"]
