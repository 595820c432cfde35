"""The file ``.env`` of the folder that a program was started in. Dagster's commands read it, and so do ours.

One that can't be read would leave the environment as it is, and may so lead to other databases than the file names.
"""

import io
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from pg_migration.postgres.errors import ConfigurationError

FILE = ".env"


def read_env_file(folder: Path) -> Mapping[str, str]:
    """What the file sets; nothing where there is none.

    Raises:
        ConfigurationError: when there is one that can't be read, or a line of it can't be. No value is repeated.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path} can't be used: line {line} is no text in UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be used: {error.strerror or type(error).__name__}") from None
    for line, statement in enumerate(text.split("\n"), 1):
        if "\0" in statement:
            raise ConfigurationError(f"{path} can't be used: line {line} holds the character NUL")
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            before = binding.original.string
            line = binding.original.line + before[: len(before) - len(before.lstrip())].count("\n")
            raise ConfigurationError(
                f"{path} can't be used: line {line} is no assignment NAME=value that can be read. Is a quote not "
                f"closed, or a = missing?"
            )
    found = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in found.items() if value is not None}


def current_folder() -> Path:
    """The folder that this program was started in.

    Raises:
        ConfigurationError: when it was deleted since.
    """
    try:
        return Path.cwd()
    except OSError:
        raise ConfigurationError(
            "the folder that this was started in is not there any more: change to one that is"
        ) from None
