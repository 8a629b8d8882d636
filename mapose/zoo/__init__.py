"""Models that come with mapose, each a folder beside this file, with its card."""

from mapose.zoo.catalogue import find_model, list_models

__all__ = ["find_model", "list_models"]
