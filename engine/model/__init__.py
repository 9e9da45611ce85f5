"""Model files: metadata of a GGUF file, the memory plan that follows from it, and loading it as planned."""
