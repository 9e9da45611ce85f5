"""llama-server, the server of llama.cpp, from the very source that inglenook's engine is built from."""

from pathlib import Path

from bench.peers.client import Prompt, Reply, stream
from bench.peers.served import Served
from bench.peers.system import Setting, Watch
from bench.peers.talk import Words

# Its best: a slot for each lane, the RAM cache, chunks behind a dropped message reused by shifting, a generation that
# may shift on. Which slot may be taken over is a matter of the scenario (measured). With 0.5 a chat that returns finds
# its slot or its copy in RAM; with the default of 0.1 the shared persona is enough to take over a slot, and the rest is
# read again. But a chat whose oldest messages have just left finds its own slot only with 0.1.
BEST = ("--cache-reuse", "16", "--context-shift", "-fa", "on", "-b", "512")


class LlamaServer(Served):
    """A `System`. `best=False`: with nothing but the model, the context and the threads."""

    def __init__(self, programs: Path, words: Words, setting: Setting, best: bool = True, slots: int = 0) -> None:
        super().__init__("llama-server" if best else "llama-server, defaults", words, setting, "/health")
        slots = slots or setting.lanes
        size = ("-c", str(setting.context * slots), "-np", str(slots), "--cache-ram", str(setting.ram_mb))
        best_of_all = (*size, *BEST, "--slot-prompt-similarity", str(setting.similarity))
        self._command = [
            *(str(programs / "llama-server"), "-m", str(setting.model), "-t", str(setting.threads)),
            *("--host", "127.0.0.1", "--port", str(self._port), "--no-webui"),
            *(best_of_all if best else ("-c", str(setting.context))),
        ]

    def _complete(self, prompt: Prompt) -> Reply:
        body = {
            "prompt": prompt.tokens(),
            "n_predict": self._setting.reply,
            "temperature": 0,
            "stream": True,
            "cache_prompt": True,
            "return_tokens": True,
            "ignore_eos": True,
        }
        watch, tokens, timings = Watch(), [], {}
        for event in stream(self._port, "/completion", body):
            watch.hear(event.get("content", ""))
            tokens += event.get("tokens", ())
            timings = event.get("timings", timings)
        return Reply(watch.turn(timings["prompt_n"], len(tokens)), tuple(tokens))
