from .appearance import Appearance, find_embeddings, load_appearance
from .gallery import Gallery, load_gallery
from .learning import add_to_gallery, find_names, learn_appearance, name_by_gallery

__all__ = [
    "Appearance",
    "Gallery",
    "add_to_gallery",
    "find_embeddings",
    "find_names",
    "learn_appearance",
    "load_appearance",
    "load_gallery",
    "name_by_gallery",
]
