"""Functions behind indexes, checks and keys that name things without a schema."""

import pytest

from pg_migration_tests.postgres.transfer.harness import Pair
from pg_migration_tests.postgres.transfer.test_settings import alter

EARTH = """
CREATE SCHEMA extensions; {path}
CREATE EXTENSION earthdistance SCHEMA {schema} CASCADE;
CREATE TABLE public.places (id serial PRIMARY KEY, lat float8, lng float8);
INSERT INTO public.places (lat, lng) SELECT n % 17, n % 19 FROM generate_series(1, 150) n;
CREATE INDEX ON public.places USING gist ({schema}.ll_to_earth(lat, lng));
CREATE STATISTICS public.s ON ({schema}.ll_to_earth(lat, lng)), lat FROM public.places;
"""

# helper() is found only where an application of the source has it on its path.
HELPED = """
CREATE SCHEMA app; CREATE SCHEMA tools; CREATE TYPE app.mood AS ENUM ('sad', 'glad');
CREATE FUNCTION tools.helper(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT pg_catalog.lower($1)';
CREATE FUNCTION tools.inlined(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT helper($1)';
CREATE FUNCTION tools.called(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN helper($1); END';
SET search_path = app, tools;
CREATE TABLE app.t (id serial PRIMARY KEY, a text CHECK (tools.called(a) <> 'no'), m app.mood,
                    low text GENERATED ALWAYS AS (tools.inlined(a)) STORED, object regclass DEFAULT 'app.t');
INSERT INTO app.t (a) SELECT 'A' || n FROM generate_series(1, 300) n;
CREATE INDEX ON app.t (tools.inlined(a)); CREATE INDEX ON app.t (a) WHERE tools.called(a) > 'b';
CREATE TABLE app.p (id int, a text) PARTITION BY LIST (tools.inlined(a));
CREATE TABLE app.p_1 PARTITION OF app.p FOR VALUES IN ('a'); CREATE TABLE app.p_2 PARTITION OF app.p DEFAULT;
INSERT INTO app.p SELECT n, CASE n % 2 WHEN 0 THEN 'A' ELSE 'B' END FROM generate_series(1, 500) n;
"""
CUT = {"partition_threshold": 100, "max_partitions": 3, "chunk_size": 50}


def check_everything(pair: Pair) -> None:
    """A migration compares all rows and all structure in the end."""
    done = pair.migrate(**CUT)
    assert done.succeeded, done.failures


@pytest.mark.parametrize("schema", ["public", "extensions"])
def test_functions_of_extensions(pair15: Pair, schema: str) -> None:
    pair15.source.psql(EARTH.format(schema=schema, path="SET search_path = public, extensions;"))
    check_everything(pair15)


@pytest.mark.parametrize("new", ["app", "renamed"])
def test_functions_that_need_the_databases_path(pair15: Pair, new: str) -> None:
    alter(pair15.source, "search_path = app, tools")
    pair15.source.psql(HELPED)
    pair15.source.schema, pair15.target.schema = "app", new
    pair15.schema_lists = ("app, tools", "app, tools" if new == "app" else "renamed, new_tools")
    check_everything(pair15)
    if new == "renamed":
        done = pair15.validate(**CUT)
        assert done.succeeded, done.failures
