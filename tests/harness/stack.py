"""The whole stack as `make run` starts it, on a data folder and a port of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from redis import Redis

from tests.harness import processes
from tests.harness.processes import environ_of, free_port

ROOT = Path(__file__).resolve().parents[2]


class Stack:
    """`python -m deploy.run` in a process of its own."""

    def __init__(self, data, **settings):
        self.data = Path(data)
        self.models = self.data / "models"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environ = environ_of(**{"data_dir": data, "models_dir": self.models, "port": self.port, **settings})
        self.lines = []
        self._up = threading.Event()
        self._process = None
        self._reader = None

    def start(self, timeout_s=180):
        """Start it and wait until it prints that it is up; AssertionError with its words if it ends instead."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.run"],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._up.wait(timeout_s), self.words
        assert self._process.poll() is None, self.words
        return self

    def end(self, number=signal.SIGINT, timeout_s=60):
        """Ctrl+C; the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout_s)
        finally:
            self._process.kill()
            self._reader.join()
            self._process.stdout.close()

    @property
    def words(self):
        return "".join(self.lines)

    @property
    def first_invitation(self):
        return re.search(r"first admin +(\S+)", self.words)[1]

    def invite(self, role="adult"):
        """A new invitation link."""
        done = subprocess.run(
            [sys.executable, "-m", "web.auth.invite", "--role", role],
            cwd=ROOT,
            env={**self.environ, "INGLENOOK_DATA_DIR": str(self.data)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def redis(self):
        """A client of the stack's own Redis."""
        config = (self.data / "run" / "redis.conf").read_text()
        port, password = (re.search(rf"^{name} (\S+)", config, re.M)[1] for name in ("port", "requirepass"))
        return Redis(port=int(port), password=password)

    def forget_rate_limits(self):
        """As if nobody had tried to sign in lately."""
        with self.redis() as client:
            for key in client.scan_iter("*LIMITER*"):
                client.delete(key)

    def pids(self, *words):
        """The stack's processes whose command line has all of the words."""
        return processes.named(self.data, *words)

    def kill(self, *words):
        """kill -9 of the oldest such process; its pid."""
        pid = min(self.pids(*words))
        os.kill(pid, signal.SIGKILL)
        return pid

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line)
            if "Ctrl+C" in line:
                self._up.set()
        self._up.set()
