from .importing import import_labels, import_project
from .project import Project

__all__ = [
    "Project",
    "import_labels",
    "import_project",
]
