from .catalogue import ZooList, find_model, find_zoo, list_models
from .getting import get_model
from .handing import add_model

__all__ = ["ZooList", "add_model", "find_model", "find_zoo", "get_model", "list_models"]
