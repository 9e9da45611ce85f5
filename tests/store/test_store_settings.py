import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from store.links.addresses import machine_addresses
from store.settings import Settings, SettingsError, load_settings


def test_an_empty_environment_gives_the_defaults():
    settings = load_settings({})
    assert settings.database_url == "sqlite:///data/inglenook.db"
    assert settings.origins == ("http://127.0.0.1:8420", "http://localhost:8420")
    assert (settings.lanes, settings.context, settings.backend) == (2, 0, "llama")


def test_the_folder_of_models_lies_beside_the_data_folder_unless_it_is_named(tmp_path):
    given = {"INGLENOOK_DATA_DIR": str(tmp_path / "data")}
    assert load_settings(given).models_dir == tmp_path / "models"
    assert load_settings({**given, "INGLENOOK_MODELS_DIR": ""}).models_dir == tmp_path / "models"
    assert load_settings({**given, "INGLENOOK_MODELS_DIR": "/large/disk"}).models_dir == Path("/large/disk")


def test_values_come_from_the_environment_and_others_are_left_alone():
    settings = load_settings({"INGLENOOK_PORT": "9000", "INGLENOOK_HOST": "0.0.0.0", "PATH": "/bin", "PORT": "1"})
    assert settings.port == 9000
    assert settings.origins == (
        *(f"http://{address}:9000" for address in machine_addresses()),
        "http://localhost:9000",
        "http://127.0.0.1:9000",
    )


def test_origins_are_split_and_lose_their_slash():
    settings = load_settings({"INGLENOOK_PUBLIC_ORIGINS": "https://a.example/, https://b.example"})
    assert settings.origins == ("https://a.example", "https://b.example")


def test_hubs_and_their_token_have_the_names_that_all_programs_use():
    assert load_settings({}).hubs == ("https://huggingface.co", "https://hf-mirror.com", "https://modelscope.cn")
    named = load_settings({"HF_ENDPOINT": "https://hub.example/", "HF_TOKEN": "hf_something"})
    assert named.hubs[:2] == ("https://hub.example", "https://huggingface.co")
    assert named.hub_token == "hf_something"
    ours = load_settings({"HF_ENDPOINT": "https://a", "INGLENOOK_HUB_SOURCES": "https://b, https://b/", "HF_TOKEN": ""})
    assert (ours.hubs, ours.hub_token) == (("https://b",), "")
    with pytest.raises(SettingsError, match=r"INGLENOOK_HUB_TOKEN=\.\.\. is wrong"):
        load_settings({"HF_TOKEN": "two words"})


def test_a_misspelt_name_is_refused_with_the_nearest_one():
    with pytest.raises(SettingsError, match=r"INGLENOOK_REDIS_ULR.*Did you mean INGLENOOK_REDIS_URL"):
        load_settings({"INGLENOOK_REDIS_ULR": "redis://x"})
    with pytest.raises(SettingsError, match=r"docs/operators\.md lists every setting"):
        load_settings({"INGLENOOK_QQQQQQ": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "many"), ("PORT", "70000"), ("LANES", "0"), ("KV_TYPE", "q4"), ("WORKER_NAME", "a b"), ("VRAM_GB", "-1")],
)
def test_a_bad_value_is_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=f"INGLENOOK_{name}='{value}' is wrong"):
        load_settings({f"INGLENOOK_{name}": value})


def test_the_password_of_redis_may_stand_in_a_file(tmp_path):
    file = tmp_path / "redis"
    given = {"INGLENOOK_REDIS_URL": "redis://redis:6379/0", "INGLENOOK_REDIS_PASSWORD_FILE": str(file)}
    with pytest.raises(SettingsError, match=r"REDIS_PASSWORD_FILE.*cannot be read"):
        load_settings(given)
    file.write_text("a/b@c\n")
    assert load_settings(given).redis_url == "redis://:a%2Fb%40c@redis:6379/0"
    with pytest.raises(SettingsError, match="must hold a password"):
        load_settings({**given, "INGLENOOK_REDIS_URL": "redis://:other@redis:6379/0"})


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_every_setting_has_a_description():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_secret_key_is_made_once_even_by_racers(tmp_path):
    settings = Settings(data_dir=tmp_path / "new")
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: settings.read_secret_key(), range(16)))
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 43
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret_key"]


def test_a_given_secret_key_wins(tmp_path):
    given = "given by whoever runs it"
    assert Settings(data_dir=tmp_path, secret_key=given).read_secret_key() == given
    assert list(tmp_path.iterdir()) == []


def test_a_given_secret_key_that_can_be_guessed_is_refused_and_not_repeated():
    with pytest.raises(SettingsError, match=r"INGLENOOK_SECRET_KEY=\.\.\. is wrong.*16 characters") as told:
        load_settings({"INGLENOOK_SECRET_KEY": "qz"})
    assert "qz" not in str(told.value)


@pytest.mark.parametrize(
    "content", [b"", b"a", b"\n", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"\xff\xfe" * 30, b"x9" * 5000]
)
def test_a_secret_key_file_without_a_safe_key_is_put_aside_and_made_anew(tmp_path, caplog, content):
    path = tmp_path / "secret_key"
    path.write_bytes(content)
    settings = Settings(data_dir=tmp_path)
    assert settings.kept_secret_key() is None
    key = settings.read_secret_key()
    assert len(key) >= 43
    assert settings.read_secret_key() == settings.kept_secret_key() == key
    (aside,) = tmp_path.glob("secret_key-damaged-*")
    assert aside.read_bytes() == content
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} held no key that is safe: it lies in {aside} now, and a new one was made. Sign in again."
    ]
