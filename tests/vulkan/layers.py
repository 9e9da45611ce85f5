"""A pytest plugin (`-p tests.vulkan.layers`): counts the models that were loaded with layers on the card.

Writes (wholly, partly, not at all) as JSON into the file that LAYERS_FILE names, at the end of the run.
"""

import json
import logging
import os
import re
from pathlib import Path

SAID = re.compile(r"(\d+) of (\d+) layers of .* are on the card")
FILE = "LAYERS_FILE"


class LayerCounter(logging.Handler):
    """Reads what the backend says of each model."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.counts = {"wholly": 0, "partly": 0, "not": 0}

    def emit(self, record):
        if said := SAID.search(record.getMessage()):
            self.counts[how_much(said)] += 1


def how_much(said):
    """How much of a model is on the card: "wholly", "partly" or "not"."""
    return "not" if said[1] == "0" else "wholly" if said[1] == said[2] else "partly"


def pytest_configure(config):
    """Listen to the backend from the first test on."""
    config.layers = LayerCounter()
    log = logging.getLogger("engine.backends.llama")
    log.setLevel(logging.INFO)
    log.addHandler(config.layers)


def pytest_unconfigure(config):
    """Leave the counts behind."""
    Path(os.environ[FILE]).write_text(json.dumps(config.layers.counts))
