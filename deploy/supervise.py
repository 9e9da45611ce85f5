"""Supervisord of one stack: writes its configuration, and is a small client that starts, watches and stops it.

Supervisord restarts what crashes: at once where it had run for a while, else after a growing delay, and gives up after
ten tries. Exit status 78 means "wrong configuration" and is not retried.
What it refuses to know: what the programs are for (run.py).
"""

import contextlib
import ctypes
import http.client
import os
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from deploy.preflight import DeployError
from deploy.stack_paths import StackPaths

EXIT_CONFIG = 78  # sysexits.h EX_CONFIG
PR_SET_PDEATHSIG = 1
RPC_ERRORS = (OSError, http.client.HTTPException, xmlrpc.client.Error)


@dataclass(frozen=True)
class Program:
    """One supervised process. Groups are stopped one after the other, the last one first."""

    name: str
    command: Sequence[str]
    group: str
    settle_s: int  # an exit before this counts as a failed start
    stop_s: int  # then it is killed


def supervisord_config(paths: StackPaths, programs: Sequence[Program]) -> str:
    """The configuration for `programs`, none of them started by itself."""
    groups = list(dict.fromkeys(program.group for program in programs))
    parts = [_supervisord_section(paths)]
    parts += [_program_section(paths, program) for program in programs]
    for number, group in enumerate(groups, 1):
        names = ",".join(program.name for program in programs if program.group == group)
        parts.append(f"[group:{group}]\nprograms={names}\npriority={number}\n")
    return "\n".join(parts)


class Supervisord:
    """A running supervisord."""

    def __init__(self, paths: StackPaths) -> None:
        self._paths = paths
        self._config = paths.run / "supervisord.conf"
        self._socket = paths.sockets / "supervisord.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._pids: set[int] = set()

    def start(self, programs: Sequence[Program], environ: Mapping[str, str]) -> None:
        """Start supervisord and wait for it; in its own session, so that a terminal's Ctrl+C reaches only us."""
        self._config.write_text(supervisord_config(self._paths, programs), encoding="utf-8")
        self._paths.log("supervisord").unlink(missing_ok=True)
        command = [sys.executable, "-W", "ignore", "-m", "deploy.supervisord", "-c", str(self._config)]
        with self._paths.log("supervisord.out").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        while not self._answers():
            if not self.is_alive():
                raise DeployError(f"The supervisor does not start: {' '.join(self._paths.tail('supervisord.out'))}")
            time.sleep(0.05)

    def is_alive(self) -> bool:
        """True until supervisord itself has ended."""
        return self._process is not None and self._process.poll() is None

    def start_group(self, group: str) -> None:
        """Start the programs of a group, not waiting for them."""
        self._ask("startProcessGroup", group, False)

    def start_program(self, group: str, name: str) -> None:
        """Restart one program that supervisord has given up."""
        self._ask("startProcess", f"{group}:{name}", False)

    def stop_program(self, group: str, name: str) -> None:
        """Stop one program, or its further tries to start."""
        with contextlib.suppress(xmlrpc.client.Fault):  # it does not run
            self._ask("stopProcess", f"{group}:{name}")

    def states(self) -> dict[str, str]:
        """Program name -> supervisord's state name (STARTING, RUNNING, BACKOFF, FATAL, EXITED, ...)."""
        infos = cast(list[dict[str, Any]], self._ask("getAllProcessInfo"))
        self._pids = {int(info["pid"]) for info in infos if info["pid"]}
        return {str(info["name"]): str(info["statename"]) for info in infos}

    def exits(self) -> list[tuple[str, int]]:
        """(program, exit status) of those that ended unasked, oldest first."""
        return [(str(name), int(status)) for name, status in self._ask("exits", interface="inglenook")]

    def stop(self, timeout_s: float) -> None:
        """Stop all programs, last group first, then supervisord; what is left after `timeout_s` is killed."""
        if self._process is None:
            return
        with contextlib.suppress(*RPC_ERRORS):
            self.states()  # the pids to kill if supervisord does not stop them
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        with contextlib.suppress(*RPC_ERRORS):
            return bool(self._ask("getState"))
        return False

    def _ask(self, name: str, *arguments: object, interface: str = "supervisor") -> Any:
        """One of supervisord's remote calls, on a new connection: an old one does not survive an error."""
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(getattr(proxy, interface), name)(*arguments)


def _supervisord_section(paths: StackPaths) -> str:
    socket = paths.sockets / "supervisord.sock"
    return f"""\
[supervisord]
nodaemon=true
umask=077
silent=true
logfile={_escaped(paths.log("supervisord"))}
logfile_maxbytes=1MB
logfile_backups=1
pidfile={_escaped(paths.run / "supervisord.pid")}
childlogdir={_escaped(paths.logs)}

[unix_http_server]
file={_escaped(socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:inglenook]
supervisor.rpcinterface_factory=deploy.supervisord:make_exits_interface
"""


def _program_section(paths: StackPaths, program: Program) -> str:
    return f"""\
[program:{program.name}]
command={_escaped(shlex.join(program.command))}
autostart=false
autorestart=unexpected
exitcodes={EXIT_CONFIG}
startsecs={program.settle_s}
startretries=10
stopwaitsecs={program.stop_s}
killasgroup=true
redirect_stderr=true
stdout_logfile={_escaped(_escaped(paths.log(program.name)))}
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=2
"""


def _escaped(value: object) -> str:
    """Supervisord fills in %(...)s: a literal % is doubled (twice for log files, which it expands twice)."""
    return str(value).replace("%", "%%")


def _die_with_parent() -> None:
    """In the child: get SIGTERM when the parent dies, even by kill -9 (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
