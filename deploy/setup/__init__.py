"""Set-up before anything is installed (standard library only): .venv, and a llama.cpp that fits the card."""
