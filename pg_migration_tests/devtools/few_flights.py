"""The demo's data with the first flights alone: all of them take ten seconds to load."""

from pathlib import Path

import pytest

from pg_migration.devtools.demo import flights

FLIGHTS = 2_000


def use_few_flights(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on load these alone; the file lies in a folder."""
    import pandas as pd  # half a second, which other tests need not wait for

    locate, file = flights._locate, flights.TABLES["flights"]
    few = folder / "flights.csv"
    pd.read_csv(locate(file), dtype=str, nrows=FLIGHTS).to_csv(few, index=False, na_rep="NA")
    monkeypatch.setattr(flights, "_locate", lambda name: few if name == file else locate(name))
