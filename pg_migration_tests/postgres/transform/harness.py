"""A shop with 1,000 known personal values, in all sorts of tables, and ways to migrate it."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pg_migration.devtools import servers
from pg_migration.postgres.migration import Migration, Options, Result, migrate, preflight, validate
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.conftest import PostgresServer, run

KEY = "a key of thirty-two bytes or more"
OTHER_KEY = "another key of thirty-two bytes!"
PEOPLE = 250

# Each person has an address, a name, a telephone number and a card: 1,000 values that nothing else looks like. A table
# called as a type, functions and operators that would fit better than PostgreSQL's own, names that have to be quoted.
SHOP = """
    CREATE TABLE public.text (x int PRIMARY KEY);
    CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT 'x'::bytea $$;
    CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'own'::pg_catalog.text $$;
    CREATE DOMAIN address AS varchar(60) CHECK (value LIKE '%@%');
    CREATE TYPE state AS ENUM ('new', 'old');
    CREATE TABLE users (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        email address NOT NULL UNIQUE,
        "full %Name" varchar(30) NOT NULL,
        phone char(20),
        card pg_catalog.text,
        born timestamptz,
        state state DEFAULT 'new',
        tags pg_catalog.text[],
        profile jsonb,
        referrer bigint REFERENCES users,
        deleted boolean NOT NULL DEFAULT false,
        shown pg_catalog.text GENERATED ALWAYS AS (email || ' ' || state_of(id)) STORED
    );
    CREATE INDEX users_card ON users (card);
    CREATE TABLE "We.ird ""T" ("Us%r" bigint REFERENCES users, "Mail" varchar(60) REFERENCES users (email), n int);
    CREATE TABLE sessions (token uuid PRIMARY KEY, who bigint REFERENCES users, ip inet);
    CREATE TABLE visits (who bigint REFERENCES users, at date, page pg_catalog.text, note varchar(20))
      PARTITION BY RANGE (at);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
    CREATE TABLE visits_2 (note varchar(20), page pg_catalog.text, at date, who bigint);
    ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');
    CREATE TABLE parent (name pg_catalog.text, x int);
    CREATE TABLE child (y int) INHERITS (parent);
    CREATE TABLE moods (s state, who pg_catalog.text, n int) PARTITION BY HASH (s);
    CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE MATERIALIZED VIEW addresses AS SELECT email, "full %Name" FROM users;
    INSERT INTO users (email, "full %Name", phone, card, born, tags, profile, referrer, deleted)
      SELECT format('person%s@mail.example', n), format('Firstname%s Lastname', n), format('+49 170 55%s', 10000 + n),
             format('4111-%s', 90000 + n), '1970-05-06 07:08:09+00'::timestamptz + n * interval '1 day',
             ARRAY['t' || n],
             jsonb_build_object('contact', jsonb_build_object('phone', format('+49 170 55%s', 10000 + n)), 'n', n),
             nullif(n - 1, 0), n % 5 = 0
        FROM generate_series(1, 250) AS n;
    INSERT INTO "We.ird ""T" SELECT id, email, id FROM users;
    INSERT INTO sessions SELECT gen_random_uuid(), id, '10.0.0.1' FROM users;
    INSERT INTO visits SELECT id, date '2025-01-01' + (id % 360)::int, 'page', format('4111-%s', 90000 + id) FROM users;
    INSERT INTO parent SELECT "full %Name", 1 FROM users WHERE id <= 125;
    INSERT INTO child SELECT "full %Name", 2, 3 FROM users WHERE id > 125;
    INSERT INTO moods SELECT state, email, id FROM users;
    ANALYZE;
"""
BEFORE = """
    CREATE FUNCTION state_of(bigint) RETURNS pg_catalog.text LANGUAGE sql IMMUTABLE
      AS $$ SELECT ($1 % 2)::pg_catalog.text $$;
"""
# What is done with them: nothing of a person is left.
MASKS: Mapping[str, Any] = {
    "key": "env:MASK_KEY",
    "tables": {
        "public.users": {
            "mask": {
                "id": "permute",
                "email": "email",
                "full %Name": "hash",
                "phone": "digits",
                "card": None,
                "born": "year",
                "tags": {"fixed": "{masked}"},
                "profile": {"redact_json": ["contact.phone"]},
            }
        },
        "public.sessions": {"rows": "none"},
        "public.visits": {"where": "at < '2025-10-01'", "mask": {"note": "sql: left(upper(page), 3) || '%'"}},
        "public.parent": {"mask": {"name": "hash"}},
        "public.moods": {"where": "n <= 200", "mask": {"who": "hash"}},
    },
}


@dataclass
class Shop:
    source: PostgresServer
    target: PostgresServer
    urls: tuple[str, str]
    key: str = KEY

    def migration(self, transform: object = None, **options: Any) -> Migration:
        chosen = Options.model_validate({**options, "transform": transform or {}})
        return Migration.between(*self.urls, options=chosen, variables={"MASK_KEY": self.key})

    def migrate(self, transform: object = None, schemas: str = "public", **options: Any) -> Result:
        return migrate(replace(self.migration(transform, **options), source_schemas=schemas))

    def validate(self, transform: object = None, **options: Any) -> Result:
        return validate(self.migration(transform, **options))

    def refused(self, transform: object, **options: Any) -> list[str]:
        """The errors of preflight."""
        found = preflight(self.migration(transform, **options))
        return [finding.verdict for finding in found if finding.severity is Severity.ERROR]

    def in_source(self, statement: str) -> str:
        return self.source.psql(self.urls[0], statement).strip()

    def in_target(self, statement: str) -> str:
        return self.target.psql(self.urls[1], statement).strip()

    def dump(self) -> str:
        """Everything that is in the target, the bookkeeping too, and its statistics."""
        program = servers.embedded(max(servers.EMBEDDED)).bindir / "pg_dump"
        return run([program, "--inserts", "-d", self.urls[1]]) + self.in_target("SELECT s::text FROM pg_stats s")

    def personal_values(self) -> Sequence[str]:
        rows = self.in_source(
            'SELECT email FROM users UNION ALL SELECT "full %Name" FROM users UNION ALL SELECT trim(phone) FROM users '
            "UNION ALL SELECT card FROM users"
        )
        return rows.splitlines()


def hashed(value: str, domain: str, key: str = KEY) -> str:
    """As the documentation says how a value is hashed, by means that know nothing of ours."""
    own = hmac.new(key.encode(), b"pg_migration mask\0" + domain.encode(), hashlib.sha256).digest()[:24]
    return hashlib.sha256(own + value.encode()).hexdigest()[:32]
