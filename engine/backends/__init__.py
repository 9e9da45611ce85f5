"""Backends: implementations of the protocol in engine/backend.py, llama.cpp and an echo without a model."""

import os

# Must be set before libgomp is loaded, which llama_cpp does: how long its threads spin at a barrier before they sleep.
# Long enough for nearly every barrier, short enough to make room when a thread has to wait for its CPU
# (docs/decisions/engine.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
