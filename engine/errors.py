"""The exceptions of the engine, as one small tree.

EngineError
|- ModelError        the model file is missing, broken, or cannot be used with these settings
|  |- CutOff         the file ends in the middle of something: it is damaged, or not all of it is here
|  |- DoesNotFit     no plan fits into the memory that there is
|  `- MemoryShortage there is less memory than the plan was made for; a smaller plan may fit
|- ComputeError      the card is lost or out of memory in the midst of work: only a new process can go on
|- RequestError      a turn requests something impossible (also a ValueError); the caller must change it
|- DecodeError       the backend refused a batch although the engine believed it to be right
`- EngineClosed      the engine has been closed, or its loop died: no more events will come
"""


class EngineError(Exception):
    """Base class of every exception that the engine raises on purpose."""

    code = "engine"


class ModelError(EngineError):
    """The model cannot be loaded or used; the message says why and what to do."""

    code = "model"


class CutOff(ModelError):
    """The model file ends too early."""


class DoesNotFit(ModelError):
    """The least plan needs `needed` bytes of a budget of `budget` bytes, of the card or of the RAM."""

    def __init__(self, message: str, needed: int, budget: int, on_card: bool) -> None:
        super().__init__(message)
        self.needed, self.budget, self.on_card = needed, budget, on_card


class MemoryShortage(ModelError):
    """Memory could not be had that the plan had counted on."""

    code = "memory"


class ComputeError(EngineError):
    """A batch could not be computed: the card was lost, or its memory is full. The backend cannot be used any more."""

    code = "compute"


class RequestError(EngineError, ValueError):
    """An impossible request: a setting out of range, a prompt larger than the context."""

    code = "request"


class DecodeError(EngineError):
    """llama_decode refused a batch (bad token id, position gap); the session concerned is read again."""

    code = "decode"


class EngineClosed(EngineError):
    """The engine loop has ended; every waiting ticket receives this."""

    code = "engine_closed"
