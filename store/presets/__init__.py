"""Presets: sampler settings that a person keeps under a name, and their table (built-in ones: store/sampling.py)."""
