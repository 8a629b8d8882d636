from .crops import load_crops, set_crop
from .exporting import export_labels
from .history import ConflictError, History
from .importing import import_labels, import_project
from .merging import Conflict, MergeReport, merge_projects
from .overview import Overview, describe
from .packing import zip_project
from .project import Project
from .relinking import RelinkReport, relink_project
from .removing import Removal, find_removal, remove_parts
from .sheets import save_sheets

__all__ = [
    "Conflict",
    "ConflictError",
    "History",
    "MergeReport",
    "Overview",
    "Project",
    "RelinkReport",
    "Removal",
    "describe",
    "export_labels",
    "find_removal",
    "import_labels",
    "import_project",
    "load_crops",
    "save_sheets",
    "set_crop",
    "merge_projects",
    "relink_project",
    "remove_parts",
    "zip_project",
]
