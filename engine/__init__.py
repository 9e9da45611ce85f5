"""engine: KV sessions over llama.cpp. Knows tokens and cells; no Redis, no Flask, no SQL, no users, no environment.

    from engine import Engine, EngineOptions, Segment, TurnRequest, ReplySpec, SamplerSettings

`engine.backends.llama` (which alone, with its batch and sampler, imports llama_cpp) and `engine.backends.echo` are the
two backends.
"""

from engine.engine import Engine
from engine.errors import (
    ComputeError,
    DecodeError,
    EngineClosed,
    EngineError,
    MemoryShortage,
    ModelError,
    RequestError,
)
from engine.events import Cancelled, Done, Event, Failed, Reading, Text, TurnStats, Waking
from engine.options import EngineOptions
from engine.sampling import SamplerSettings, settings_from
from engine.segments import ReplySpec, Segment, TurnRequest
from engine.stats import EngineStats
from engine.text.framing import Framing
from engine.ticket import Ticket

__all__ = [
    "Cancelled",
    "ComputeError",
    "DecodeError",
    "Done",
    "Engine",
    "EngineClosed",
    "EngineError",
    "EngineOptions",
    "EngineStats",
    "Event",
    "Failed",
    "Framing",
    "MemoryShortage",
    "ModelError",
    "Reading",
    "ReplySpec",
    "RequestError",
    "SamplerSettings",
    "Segment",
    "Text",
    "Ticket",
    "TurnRequest",
    "TurnStats",
    "Waking",
    "settings_from",
]
