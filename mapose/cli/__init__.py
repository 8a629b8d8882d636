"""The command line: one short command per verb, a thin layer over the Python API."""

from mapose.cli import cameras, training, videos  # noqa: F401 - they register their commands
from mapose.cli.application import app, main

__all__ = ["app", "main"]
