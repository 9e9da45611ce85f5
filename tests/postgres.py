"""A PostgreSQL server of its own for one run of the tests: `pytest --postgres`."""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

from store.db import Database

TEMPLATE = "migrated"


class PostgresServer:
    """Debian's server on a free port, its files in a folder that goes with it. It refuses to run as root."""

    def __init__(self, durable=False):
        self._durable = durable
        self._folder = tempfile.mkdtemp(prefix="inglenook-postgres-")
        self._user = _somebody() if os.getuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._data = Path(self._folder) / "data"
        self._numbers = itertools.count()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]

    def start(self):
        self._run("initdb", "-D", self._data, "-U", "inglenook", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self._folder, "max_connections": 300}
        settings |= {} if self._durable else {"fsync": "off"}
        options = " ".join([f"-p {self._port}", *(f"-c {name}={value}" for name, value in settings.items())])
        log = Path(self._folder) / "log"
        self._run("pg_ctl", "-D", self._data, "-o", options, "-l", log, "-w", "start")
        self._sql(f"CREATE DATABASE {TEMPLATE}")
        database = Database(self._url(TEMPLATE))
        database.migrate()
        database.close()
        return self

    def stop(self):
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def new_url(self):
        """The URL of a fresh, migrated database."""
        name = f"test_{next(self._numbers)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self._url(name)

    def _url(self, name):
        return f"postgresql+psycopg://inglenook@127.0.0.1:{self._port}/{name}"

    def _sql(self, statement):
        address = f"postgresql://inglenook@127.0.0.1:{self._port}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program, *arguments):
        command = [_find(program), *map(str, arguments)]
        # to a file, not a pipe: the server inherits it and would keep it open
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(command, user=self._user, cwd="/", stdout=said, stderr=said, check=False)
            said.seek(0)
            assert done.returncode == 0, said.read().decode()


def _find(program):
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    found = shutil.which(program) or (str(places[-1]) if places else None)
    assert found, f"{program} is not here: install PostgreSQL (Debian: apt install postgresql)"
    return found


def _somebody():
    names = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
