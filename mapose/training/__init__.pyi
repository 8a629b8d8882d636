from .evaluation import Evaluation, evaluate, write_evaluation
from .loop import Progress
from .training import train

__all__ = [
    "Evaluation",
    "Progress",
    "evaluate",
    "train",
    "write_evaluation",
]
