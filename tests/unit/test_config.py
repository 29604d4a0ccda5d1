"""Settings: precedence, discovery, and errors that name file, key, value and mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from skylift.config import Config, InvalidConfig, load_config


def write(folder: Path, text: str) -> Path:
    file = folder / "skylift.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_without_a_file(tmp_path: Path) -> None:
    config = load_config(tmp_path, environ={})
    assert config == Config(project=tmp_path, home=tmp_path / ".skylift")


def test_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    source = write(tmp_path, '[skylift]\nhome = "state"\nworkers = 3\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    config = load_config(below, environ={})
    assert (config.source, config.project, config.home, config.workers) == (source, tmp_path, tmp_path / "state", 3)


def test_environment_wins_over_the_file_and_an_argument_over_both(tmp_path: Path) -> None:
    write(tmp_path, '[skylift]\nhome = "from-file"\ndurability = "normal"\n')
    environ = {"SKYLIFT_HOME": str(tmp_path / "from-env"), "SKYLIFT_DURABILITY": "full", "SKYLIFT_WORKERS": "5"}
    config = load_config(tmp_path, environ=environ)
    assert (config.home, config.durability, config.workers) == (tmp_path / "from-env", "full", 5)
    assert load_config(tmp_path, home=tmp_path / "given", environ=environ).home == tmp_path / "given"


def test_functions_and_secrets(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[functions]\nshort = "app:handle"\nlong = { handler = "app:other", memory = "1 GiB" }\n'
        '[secrets]\nTOKEN = { env = "MY_TOKEN" }\n',
    )
    config = load_config(tmp_path, environ={})
    assert config.functions["short"].handler == "app:handle"
    assert config.functions["long"].memory == "1 GiB"
    assert config.secrets["TOKEN"].env == "MY_TOKEN"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[skylift]\nworker = 3\n", "unknown setting skylift.worker"),
        ("[skilift]\n", "unknown setting skilift"),
        ("[skylift]\nworkers = 0\n", "workers is 0"),
        ("[skylift]\nworkers = true\n", "workers is True"),
        ('[skylift]\nworkers = "many"\n', "workers is 'many'"),
        ('[skylift]\ndurability = "maybe"\n', "durability is 'maybe'"),
        ("[skylift]\nhome = 3\n", "skylift.home must be text"),
        ('skylift = "x"\n', "[skylift] must be a table"),
        ('[functions]\nf = "handler"\n', "functions.f is 'handler'"),
        ("[functions]\nf = { memory = 3 }\n", "functions.f"),
        ('[secrets]\ns = { env = "A", file = "b" }\n', "names 2 sources"),
        ("[secrets]\ns = {}\n", "names 0 sources"),
        ("[skylift\n", "not valid TOML"),
        (b"\xff\xfe".decode("latin-1"), "not valid TOML"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    source = write(tmp_path, text)
    with pytest.raises(InvalidConfig) as caught:
        load_config(tmp_path, environ={})
    assert said in caught.value.message
    assert str(source) in caught.value.message


def test_a_misspelt_setting_suggests_the_right_one(tmp_path: Path) -> None:
    write(tmp_path, "[skylift]\nworker = 3\n")
    with pytest.raises(InvalidConfig) as caught:
        load_config(tmp_path, environ={})
    assert caught.value.hint == "did you mean skylift.workers?"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[backends.container]\nlase = '1m'", "did you mean lease?"),
        ("[backends.conainer]\nlease = '1m'", "did you mean container?"),
        (
            "[[backends.batch.machines]]\nname = 'a'\nvcpus = 1\nmemry = '1 GiB'\nmemory = '1 GiB'",
            "did you mean memory?",
        ),
        ("[backends.batch.queues.urgent]\npriorty = 2", "did you mean priority?"),
        ("[jobs.prepare]\ncomand = ['x']", "did you mean command?"),
        ("[compute]\nxyz = 1", "known: escalate, memory_steps"),
    ],
)
def test_a_misspelt_setting_is_told_which_was_meant(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "skylift.toml").write_text(text)
    with pytest.raises(InvalidConfig) as caught:
        load_config(tmp_path, environ={})
    assert caught.value.hint == hint
