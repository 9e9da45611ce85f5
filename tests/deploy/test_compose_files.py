"""The compose files promise what docs/security.md says. Whether containers keep to it: `make compose-test`."""

import re
from pathlib import Path

import pytest
import yaml  # comes with the package gguf

ROOT = Path(__file__).resolve().parents[2]
BASE = "docker-compose.yml"
OVERRIDES = tuple(sorted(f"deploy/{path.name}" for path in (ROOT / "deploy").glob("compose.*.yml")))
RESET = object()
LIMITS = {"mem_limit", "pids_limit"}


class Loader(yaml.SafeLoader):
    """YAML with compose's own tag."""


Loader.add_constructor("!reset", lambda _loader, _node: RESET)


def services(name):
    return yaml.load((ROOT / name).read_text(encoding="utf-8"), Loader)["services"]


def all_services():
    """(file, name, service) of each one that a file brings, not those that it only changes."""
    found = [(BASE, name, service) for name, service in services(BASE).items()]
    for file in OVERRIDES:
        found += [(file, name, one) for name, one in services(file).items() if name not in services(BASE)]
    return found


NEW = all_services()
ONCE = [(file, name, service) for file, name, service in NEW if service["restart"] == "no"]
LASTING = [one for one in NEW if one not in ONCE]


def test_the_files_are_those_that_the_papers_name():
    assert [name.split(".")[1] for name in OVERRIDES] == ["nvidia", "postgres", "tls", "vulkan"]
    operators = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    for name in OVERRIDES:
        assert operators.count(f"| {name}") == 2, "one line says what it is for, one what of it was run"


@pytest.mark.parametrize(("file", "name", "service"), NEW, ids=[name for _, name, _ in NEW])
def test_every_container_is_locked_up(file, name, service):
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    own = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}  # to hand a volume over and give up root
    may = {
        "web": set(),
        "worker": set(),
        "downloader": set(),
        "models-folder": {"CHOWN", "FOWNER"},
        "redis": own,
        "postgres": own,
        "caddy": {"NET_BIND_SERVICE"},
    }
    assert set(service.get("cap_add", ())) <= may[name]


def test_what_hands_the_models_folder_over_ends_has_no_network_and_sees_nothing_else():
    assert [name for _, name, _ in ONCE] == ["models-folder"]
    service = ONCE[0][2]
    assert service["network_mode"] == "none"
    assert service["volumes"] == ["./models:/models"]
    assert "environment" not in service
    assert (service["mem_limit"], service["pids_limit"]) == ("128m", 16)
    assert all("models-folder" not in one.get("depends_on", ()) for one in services(BASE).values())


@pytest.mark.parametrize(("file", "name", "service"), LASTING, ids=[name for _, name, _ in LASTING])
def test_every_container_that_stays_comes_back_after_a_crash(file, name, service):
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize(("file", "name", "service"), LASTING, ids=[name for _, name, _ in LASTING])
def test_every_container_has_a_limit_of_memory_and_processes_that_can_be_set(file, name, service):
    for key, variable, size in (("mem_limit", "MEMORY", r"\d+[mg]"), ("pids_limit", "PIDS", r"\d+")):
        given = re.fullmatch(rf"\$\{{{name.upper()}_{variable}:-({size})\}}", service[key])
        assert given, (file, name, service[key])
        papers = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
        assert f"`{name.upper()}_{variable}={given[1]}`" in papers


def test_an_override_takes_nothing_of_that_away():
    for file in OVERRIDES:
        for name in services(file).keys() & services(BASE).keys():
            changed = services(file)[name].keys()
            assert not changed & {"read_only", "security_opt", "cap_drop", "cap_add", "privileged", "user", *LIMITS}, (
                file,
                name,
            )


def test_only_web_caddy_and_the_downloader_have_a_way_out_and_only_the_first_two_open_ports():
    for file, name, service in LASTING:
        assert ("outside" in service["networks"]) is (name in ("web", "caddy", "downloader")), (file, name)
        assert bool(service.get("ports")) is (name in ("web", "caddy")), (file, name)
    networks = yaml.load((ROOT / BASE).read_text(encoding="utf-8"), Loader)["networks"]
    assert networks["default"] == {"internal": True}


def test_the_worker_reads_the_models_the_downloader_writes_them_and_only_it_has_the_token():
    volumes = {name: service.get("volumes", []) for name, service in services(BASE).items()}
    writes = [name for name, mounted in volumes.items() if "./models:/models" in mounted]
    assert writes == ["models-folder", "downloader"]
    assert [name for name, mounted in volumes.items() if "./models:/models:ro" in mounted] == ["worker"]
    knows = [name for name, one in services(BASE).items() if "HF_TOKEN" in one.get("environment", {})]
    assert knows == ["downloader"]
    assert "outside" not in services(BASE)["worker"]["networks"]


def test_nobody_gets_past_caddy_to_the_server_that_believes_what_caddy_says():
    behind = services("deploy/compose.tls.yml")["web"]
    assert behind["environment"]["INGLENOOK_TRUSTED_PROXIES"] == "1"
    assert behind["ports"] is RESET


def test_the_worker_on_an_amd_or_intel_card_gets_the_card_and_nothing_else():
    worker = services("deploy/compose.vulkan.yml")["worker"]
    assert worker["devices"] == ["/dev/dri:/dev/dri"]
    assert [re.match(r"\$\{(\w+)", group)[1] for group in worker["group_add"]] == ["VIDEO_GID", "RENDER_GID"]
    assert worker.keys() == {"image", "build", "devices", "group_add", "environment"}


def test_every_build_argument_of_a_card_is_known_to_its_dockerfile():
    for file, default in (("deploy/compose.vulkan.yml", "worker/Dockerfile"), ("deploy/compose.nvidia.yml", None)):
        build = services(file)["worker"]["build"]
        dockerfile = (ROOT / build.get("dockerfile", default)).read_text(encoding="utf-8")
        for name in build["args"]:
            assert re.search(rf"^ARG {name}=", dockerfile, re.MULTILINE), (file, name)


@pytest.mark.parametrize("name", ["INGLENOOK_RAM_CACHE_MB", "INGLENOOK_DISK_CACHE_MB"])
def test_what_two_workers_on_one_machine_have_to_set_reaches_them(name):
    """Each takes half of the free RAM otherwise (docs/operators.md)."""
    assert services(BASE)["worker"]["environment"][name] == f"${{{name}:--1}}"


@pytest.mark.parametrize(("file", "name"), [("vulkan", "MESA_SHADER_CACHE_DIR"), ("nvidia", "CUDA_CACHE_PATH")])
def test_what_a_driver_compiles_for_the_card_outlives_the_container(file, name):
    """The container can write only there and into /tmp, which is empty after each start; compiling takes minutes."""
    assert services(f"deploy/compose.{file}.yml")["worker"]["environment"][name].startswith("/data/blocks/")
    assert "blocks:/data/blocks" in services(BASE)["worker"]["volumes"]
