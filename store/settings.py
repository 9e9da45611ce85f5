"""Settings: one typed table, read once from the environment at the start of a process.

What it does: turns `INGLENOOK_*` variables into a validated, frozen `Settings` value; refuses names it does not know.
Nothing else in web, worker, engine and store reads the environment.
What it refuses to know: which code uses a setting.
To add a setting: a field here with a default, its range and a description; `make docs` (docs/operators.md has the
table); use `settings.NAME` where the value is needed, handed down from the process that has called `load_settings`;
docker-compose.yml, if people set it for the containers; a case in tests/store/test_store_settings.py if it is checked
or computed. A path that the programs must find from any folder is made absolute in deploy/run.py (`prepare`) and
deploy/installation.py (`find_installation`).
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from store import secret_key as key_file
from store.links.addresses import WILDCARDS, machine_addresses
from store.quotas import Quota

PREFIX = "INGLENOOK_"
HUBS = ("https://huggingface.co", "https://hf-mirror.com", "https://modelscope.cn")
_FOREIGN = {"hub_sources": "HF_ENDPOINT", "hub_token": "HF_TOKEN"}
AUTO = "auto"
SECRETS = frozenset({"secret_key", "metrics_token", "hub_token"})  # their values are not repeated in an error


class SettingsError(ValueError):
    """A setting that a person must correct; the message says which, why and what is expected."""


class Settings(BaseSettings):
    """Every setting of every process. Empty texts with a computed default are filled in on construction."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, protected_namespaces=())

    data_dir: Path = Field(Path("data"), description="Folder of the database, the secret key, locks and KV blocks.")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite in the data folder.")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis: queues, live events, worker registry.")
    redis_password_file: str = Field("", description="File that holds Redis' password, for a URL that has none.")
    host: str = Field("127.0.0.1", description="Address that the web server listens on; 0.0.0.0: all of this machine.")
    port: int = Field(8420, ge=0, le=65535, description="Port that the web server listens on.")
    public_origins: str = Field(
        "",
        description="Origins that browsers may use, separated by commas; empty means this host and port, with 0.0.0.0 "
        "each address that this machine has when it starts.",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=8, description="Proxies in front of the web server whose X-Forwarded-* lines count."
    )
    secret_key: str = Field(
        "",
        pattern=r"^(|.{16,})$",
        description="Key of 16 characters or more that signs cookies; empty: a file made once in the data folder.",
    )
    models_dir: Path = Field(
        Path("models"), description="Folder of model files; where it is not set, `models` beside the data folder."
    )
    model: str = Field("", description="Path of the GGUF model; empty means the demo model.")
    hub_sources: str = Field(
        "",
        description="Hubs that models are fetched from, in turn, separated by commas; empty: HF_ENDPOINT if that is "
        "set, huggingface.co, hf-mirror.com and modelscope.cn.",
    )
    hub_token: str = Field(
        "",
        pattern=r"^(|[!-~]{8,500})$",
        description="Token for models that are given to those only who have agreed to their terms; empty: HF_TOKEN. "
        "Only the first hub and huggingface.co get it.",
    )
    worker_name: str = Field(
        "gpu0",
        pattern=r"^[A-Za-z0-9_-]{1,40}$",
        description="Name of this worker, one per GPU; auto takes the first free one of gpu0, gpu1...",
    )
    lanes: int = Field(2, ge=1, le=64, description="Turns that a worker writes at the same time.")
    context: int = Field(0, ge=0, description="Tokens per session; 0 lets the engine decide.")
    gpu_layers: int = Field(-1, ge=-1, description="Layers on the GPU; -1 means all that fit.")
    threads: int = Field(0, ge=0, description="CPU threads of the engine; 0 means all cores.")
    vram_gb: float = Field(
        0.0,
        ge=0,
        le=1024,
        description="Most GPU memory that the engine may use, in GB; 0: what is free when a worker starts.",
    )
    ram_cache_mb: int = Field(
        -1,
        ge=-1,
        description="RAM for the KV blocks of sleeping chats, in MB; -1: half of what is free beside the model when a "
        "worker starts.",
    )
    disk_cache_mb: int = Field(
        -1,
        ge=-1,
        description="Disk for the KV blocks of sleeping chats, in MB; -1: a quarter of what is free when a worker "
        "starts.",
    )
    kv_type: Literal["auto", "f16", "q8_0"] = Field(
        "auto",
        description="Number format of the KV cache: f16, q8_0 (half as large), or auto: f16 where that gives chats of "
        "4,096 tokens, else q8_0 if the model survives it.",
    )
    reread_every: int = Field(
        0,
        ge=0,
        le=1000,
        description="Hybrid models (Qwen3.5, LFM2) keep a trace of what has left their memory: at every so many times "
        "that a story loses messages, what is left is read again without it; 0: never.",
    )
    framing: Literal["auto", "roles", "prefix", "script"] = Field(
        "auto",
        description="How the model is told who speaks: roles (names in the place of roles), prefix (`Name: ` before a "
        "text) or script (no chat template, for base models); auto: what suits the model.",
    )
    backend: Literal["llama", "echo"] = Field("llama", description="llama runs the model; echo repeats, for tests.")
    echo_delay_ms: int = Field(0, ge=0, description="Time per decode step of the echo backend, in milliseconds.")
    stall_limit_s: float = Field(120.0, gt=0, description="Seconds of one engine step after which a worker restarts.")
    narrations: int = Field(2, ge=0, le=20, description="Narrations that stay in the model's memory.")
    titles: bool = Field(True, description="Whether the model gives a story its title in an idle moment.")
    notes: bool = Field(
        True, description="Whether the model writes notes, in idle moments, on what is about to leave its memory."
    )
    recall_tokens: int = Field(
        300,
        ge=0,
        le=4000,
        description="Most tokens that a turn recalls of what has left the memory, an eighth of the context at most; "
        "0: nothing is recalled.",
    )
    max_reply_tokens: int = Field(
        300, ge=1, description="Longest reply, in tokens, where a story does not ask for another length."
    )
    longest_reply_tokens: int = Field(
        900, ge=1, description="Longest reply that a story may ask for, in tokens; a quarter of the context at most."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="Least level of log lines: DEBUG, INFO, WARNING, ERROR or CRITICAL."
    )
    sockets: int = Field(64, ge=1, description="Web sockets that may be open at the same time.")
    web_threads: int = Field(96, ge=2, description="Threads of the web server; sockets and pages share them.")
    connections_per_address: int = Field(
        64, ge=8, description="Unfinished requests of one address that the web server waits for at the same time."
    )
    pace_percent: int = Field(
        25,
        ge=0,
        le=100,
        description="Percent of a processor that one person may use in the web server in the long run; 0: no limit.",
    )
    pace_burst_s: float = Field(
        3.0, gt=0, description="Seconds of a processor that one person may use at once before that counts."
    )
    metrics_token: str = Field(
        "",
        pattern=r"^(|[!-~]{16,})$",
        description="Token of 16 characters or more with which programs read /metrics; empty: only admins do.",
    )
    max_waiting_turns: int = Field(2, ge=1, description="Unfinished turns that one person may have.")
    max_stories: int = Field(2_000, ge=0, description="Stories that one person may have; 0: no limit.")
    max_messages: int = Field(500_000, ge=0, description="Messages in all stories of one person; 0: no limit.")
    max_storage_mb: int = Field(
        2_000, ge=0, description="MB of texts and pictures of one person in the database; 0: no limit."
    )
    keep_deleted_days: int = Field(
        30, ge=0, description="Days after which a deleted story is removed from the database for good."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller passes: `load_settings` is the one door to the environment."""
        return (init_settings,)

    @model_validator(mode="after")
    def _fill_in(self) -> Self:
        if "models_dir" not in self.model_fields_set or self.models_dir == Path():
            self.__dict__["models_dir"] = self.data_dir.parent / "models"
        if not self.database_url:
            _set(self, "database_url", f"sqlite:///{self.data_dir / 'inglenook.db'}")
        if self.redis_password_file:
            _set(self, "redis_url", _with_password(self.redis_url, Path(self.redis_password_file)))
        if not self.public_origins:
            hosts = dict.fromkeys((*_hosts(self.host), "localhost", "127.0.0.1"))
            _set(self, "public_origins", ",".join(f"http://{host}:{self.port}" for host in hosts))
        return self

    @property
    def origins(self) -> tuple[str, ...]:
        """The allowed origins, exact, without a slash at the end."""
        parts = (part.strip().rstrip("/") for part in self.public_origins.split(","))
        return tuple(part for part in parts if part)

    @property
    def hubs(self) -> tuple[str, ...]:
        """The addresses of the hubs, in the order in which they are tried, without a slash at the end."""
        parts = (part.strip().rstrip("/") for part in self.hub_sources.split(","))
        return tuple(dict.fromkeys(part for part in parts if part)) or HUBS

    @property
    def quota(self) -> Quota:
        """What one person may keep."""
        return Quota(self.max_stories, self.max_messages, self.max_storage_mb)

    def read_secret_key(self) -> str:
        """`secret_key`, or the key kept in the data folder, which is made on first use (mode 0600)."""
        return self.secret_key or key_file.read_or_make(self.data_dir / "secret_key")

    def kept_secret_key(self) -> str | None:
        """The key in the data folder, for a backup; None where it is given, was not made yet or is not safe."""
        return None if self.secret_key else key_file.read(self.data_dir / "secret_key")


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from `environ`.

    Raises SettingsError for an unknown `INGLENOOK_*` name (with the nearest known one) or a bad value.
    """
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if name.upper().startswith(PREFIX):
            values[_field_of(name)] = value
    for field, name in _FOREIGN.items():
        if not values.get(field) and environ.get(name):
            values[field] = _foreign(field, environ[name])
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_sentences(error)) from None


def _foreign(field: str, value: str) -> str:
    """The value of a setting that has the name that all programs use for it."""
    return value.strip() if field == "hub_token" else ",".join((value.strip(), *HUBS))


def _field_of(name: str) -> str:
    field = name[len(PREFIX) :].lower()
    if field in Settings.model_fields:
        return field
    near = difflib.get_close_matches(field, Settings.model_fields, n=1, cutoff=0.5)
    hint = f"Did you mean {PREFIX}{near[0].upper()}?" if near else "docs/operators.md lists every setting."
    raise SettingsError(f"There is no setting called {name}. {hint}")


def _sentences(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        if not problem["loc"]:  # of several settings together: the message names them
            lines.append(problem["msg"].removeprefix("Value error, "))
            continue
        field = str(problem["loc"][0])
        about = Settings.model_fields[field].description if field in Settings.model_fields else ""
        given = "..." if field in SECRETS else repr(problem["input"])
        lines.append(f"{PREFIX}{field.upper()}={given} is wrong: {problem['msg']}. {about}")
    return "\n".join(lines)


def _hosts(listened_on: str) -> tuple[str, ...]:
    """The hosts under which a server that listens on an address can be opened."""
    return machine_addresses() if listened_on in WILDCARDS else (listened_on,)


def _set(settings: Settings, field: str, value: str) -> None:
    settings.__dict__[field] = value  # the value is frozen for everybody else


def _with_password(url: str, file: Path) -> str:
    """The URL with the password of the file in it."""
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{PREFIX}REDIS_PASSWORD_FILE={str(file)!r} cannot be read: {error}") from None
    parts = urlsplit(url)
    if not password or not parts.hostname or parts.password:
        raise ValueError(
            f"{PREFIX}REDIS_PASSWORD_FILE={str(file)!r} must hold a password, and {PREFIX}REDIS_URL a host and none."
        )
    user = parts.username or ""
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))
