from .answers import Answer
from .latency import Histogram, Latency
from .opening import open_source
from .outputs import CallbackOutput, Output, SerialOutput, ZeroMQOutput, find_near
from .pipeline import LiveOptions, LiveReport, run_live
from .rehearsal import rehearse
from .results import ResultOutput, join_parts
from .sources import Frame, Replay, Source

__all__ = [
    "Answer",
    "CallbackOutput",
    "Frame",
    "Histogram",
    "Latency",
    "LiveOptions",
    "LiveReport",
    "Output",
    "Replay",
    "ResultOutput",
    "SerialOutput",
    "Source",
    "ZeroMQOutput",
    "find_near",
    "join_parts",
    "open_source",
    "rehearse",
    "run_live",
]
