from .crops import load_crops, set_crop
from .importing import import_labels, import_project
from .project import Project
from .sheets import save_sheets

__all__ = [
    "Project",
    "import_labels",
    "import_project",
    "load_crops",
    "save_sheets",
    "set_crop",
]
