"""A program `nvidia-smi` in the place of the driver's."""

RTX_3060 = "NVIDIA GeForce RTX 3060, 12288, 11800, 580.95.05, 8.6"
GTX_1060 = "NVIDIA GeForce GTX 1060 6GB, 6144, 5900, 580.95.05, 6.1"
OLD_DRIVER = "NVIDIA GeForce RTX 3060, 12288, 11800, 535.183.01, 8.6"


def nvidia_smi(folder, answers, status=0):
    """Write the program into a folder that stands on the PATH; returns its path."""
    return script(folder / "nvidia-smi", f"cat <<'END'\n{answers}\nEND\nexit {status}")


def script(path, lines):
    """A shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path
