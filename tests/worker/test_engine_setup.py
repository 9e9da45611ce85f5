"""From the settings to the parts of a worker."""

import pytest

from store.settings import Settings, SettingsError, load_settings
from worker.engine_setup import open_engine
from worker.service import Service


@pytest.mark.parametrize(("style", "said"), [("auto", "Ann\nHi"), ("prefix", "user\nAnn: Hi"), ("script", "Ann: Hi\n")])
def test_a_worker_frames_messages_as_the_settings_say(database, redis_server, tmp_path, style, said):
    settings = Settings(data_dir=tmp_path, redis_url=redis_server.url, backend="echo", disk_cache_mb=0, framing=style)
    engine = open_engine(settings)
    framing = Service(settings, database, engine)._context.framing
    assert said.encode() in b"".join(map(engine.backend.piece, framing.segment("user", "Ann", "Hi")))
    engine.close()


def test_an_unknown_framing_is_refused_with_the_known_ones():
    with pytest.raises(
        SettingsError, match=r"INGLENOOK_FRAMING='plain' is wrong: .*'auto', 'roles', 'prefix' or 'script'"
    ):
        load_settings({"INGLENOOK_FRAMING": "plain"})
