"""`python -m web`: execs gunicorn with our configuration, in the same process, so that signals reach it."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Replace this process by gunicorn."""
    config = Path(__file__).parent / "server" / "gunicorn_conf.py"
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "--config", str(config), "web.wsgi:app"])


if __name__ == "__main__":
    main()
