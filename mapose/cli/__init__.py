"""The command line: one short command per verb, a thin layer over the Python API."""

from mapose.cli import (  # noqa: F401 - they register their commands
    browser,
    cameras,
    cluster,
    crops,
    gallery,
    identity,
    labels,
    live,
    models,
    motion,
    projects,
    training,
    videos,
    zoo,
)
from mapose.cli.application import app, main

__all__ = ["app", "main"]
