"""Backends: implementations of the protocol in engine/backend.py, llama.cpp and an echo without a model."""
