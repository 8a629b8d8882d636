from .evaluation import Evaluation, evaluate
from .loop import Progress
from .reports import write_evaluation
from .training import train

__all__ = [
    "Evaluation",
    "Progress",
    "evaluate",
    "train",
    "write_evaluation",
]
