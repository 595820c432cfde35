"""The revisions of Dagster's storage, read once in a process instead of anew for each instance.

Alembic imports some ninety scripts to find the newest revision, with which new tables are stamped. That is most of what
a new instance costs.
"""

from alembic.config import Config
from alembic.script import ScriptDirectory

_read = ScriptDirectory.from_config
_known: dict[str | None, ScriptDirectory] = {}


def _once(config: Config) -> ScriptDirectory:
    place = config.get_main_option("script_location")
    if place not in _known:
        _known[place] = _read(config)
    return _known[place]


def remember() -> None:
    """From now on read the scripts of a folder once."""
    ScriptDirectory.from_config = _once  # type: ignore[method-assign, assignment]
