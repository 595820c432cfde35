"""What looks personal is found, and what only looks like numbers is not; a transform for it can be had."""

from dataclasses import replace as altered
from typing import Any

import pytest
import yaml

from pg_migration.postgres.catalog import Column
from pg_migration.postgres.migration import preflight
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.suggestions import suggest_masks
from pg_migration.postgres.transform.personal import by_name, shape_of
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transform.harness import Shop

TEXT = Column("", 1, "text", "text", 25, "text", None, False, None, "", "")
TABLES = """
    CREATE TABLE city (id int PRIMARY KEY, name text);
    CREATE TABLE customer (
        id int PRIMARY KEY, "firstName" varchar(40) NOT NULL, email varchar(80) UNIQUE, mobile_phone text,
        birth_date date, ip inet NOT NULL, notes text, city int REFERENCES city, extra jsonb, "Name.of ""x" text,
        code text);
    INSERT INTO city VALUES (1, 'Rome');
    INSERT INTO customer SELECT n, 'Ann', 'ann' || n || '@mail.example', '+39 06 1234567', '1980-01-01', '10.0.0.1',
      CASE WHEN n = 7 THEN 'wrote to bob@mail.example' END, 1, '{"pay": {"iban": "DE89370400440532013000"}}', 'x',
      'nr 4111111111111112' FROM generate_series(1, 50) AS n;
    ANALYZE;
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email", "e-mail address"),
        ("customerEmail", "e-mail address"),
        ("CUSTOMER_E_MAIL", "e-mail address"),
        ("name", "name"),
        ("last_name", "name"),
        ("file_name", None),
        ("zip_code", "address"),
        ("birthday", "date of birth"),
        ("IPAddress", "network address"),
        ("description", None),
        ("shipment", None),
        ("emailing_list", None),
        ("address_id", None),
        ("address2", "address"),
        ("zip_sha256", None),
        ("email_template", None),
    ],
)
def test_names(name: str, kind: str | None) -> None:
    assert by_name(altered(TEXT, name=name)) == kind


def test_names_of_columns_that_hold_no_such_thing() -> None:
    assert by_name(altered(TEXT, name="email_verified", base_type="bool")) is None
    assert by_name(altered(TEXT, name="password_changed", base_type="timestamptz")) is None


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["x", "ask ann.b+c@mail.example.org now"], "e-mail address"),
        (["u0@example.invalid"], None),
        (["DE89 3704 0044 0532 0130 00"], "account"),
        (["DE88 3704 0044 0532 0130 00"], None),
        (["paid by 4111 1111 1111 1111"], "account"),
        (["4111 1111 1111 1112"], None),
        (["+49 170 5512345", "0170/5512345", "x"], "telephone number"),
        (["+49 170 5512345", "x", "y"], None),
        (["2025-01-01", "12345678", "0.5"], None),
    ],
)
def test_shapes(values: list[str], kind: str | None) -> None:
    found = shape_of(values)
    assert (found[0] if found else None) == kind


@pytest.fixture
def shop(postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str) -> Shop:
    made = Shop(postgres16, postgres18, (source_db, target_db))
    made.in_source(TABLES)
    return made


def test_masks_are_suggested_tried_and_looked_after(shop: Shop) -> None:
    """What is suggested can be run; what comes new is told of, and is an error where that is wanted."""
    run = MigrationRun("suggest", shop.migration().options, shop.migration)
    try:
        text = run.call(lambda: suggest_masks(run))
    finally:
        run.close()
    suggestion: Any = yaml.safe_load(text)
    assert suggestion["tables"] == {
        "public.city": {"mask": {"name": "hash"}},
        "public.customer": {
            "mask": {
                "firstName": "hash",
                "email": "email",
                "mobile_phone": "digits",
                "birth_date": "year",
                "notes": "email",
                "extra": "null",
            }
        },
    }
    assert "# ip: network address by its name: no mask fits pg_catalog.inet" in text
    assert "mail.example" not in text
    suggestion["key"] = "env:MASK_KEY"
    del suggestion["tables"]["public.city"], suggestion["tables"]["public.customer"]["mask"]["notes"]
    suggestion["personal"] = {"ignore": ["public.city.name"]}
    result = shop.migrate(suggestion)
    assert result.failures == ()
    told = [note for note in result.notes if "public.customer" in note]
    assert told[0].startswith("personal data: looks personal by its name, and is not masked: public.customer.ip (net")
    assert told[1:] == [
        "public.customer.ip: looks like network address, by its name, and is not masked",
        "public.customer.notes: looks like e-mail address, by 1 of 1 values that were looked at, and is not masked",
    ]
    suggestion["personal"] = {"strict": True, "ignore": ["public.city.name", "public.customer.ip"]}
    found = shop.migrate(suggestion).failures
    assert found == (
        "public.customer.notes: looks like e-mail address, by 1 of 1 values that were looked at, and is not masked",
    )
    shop.in_source("ALTER TABLE customer DROP COLUMN notes, ADD COLUMN customer_email text")
    (refused,) = shop.migrate(suggestion).failures
    assert "public.customer.customer_email (e-mail address)" in refused
    assert shop.in_target("SELECT count(*) FROM pg_attribute WHERE attname = 'customer_email'") == "0"
    suggestion["personal"]["ignore"].append("public.customer.mail")
    assert any("personal.ignore names what is no column: public.customer.mail" in e for e in shop.refused(suggestion))


def test_what_no_mask_reaches_is_named(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> None:
    """Comments, defaults and bodies; not the conditions that an address has to match."""
    shop = Shop(postgres16, postgres18, (source_db, target_db))
    shop.in_source(r"""
        CREATE DOMAIN address AS text CHECK (value ~ '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$');
        CREATE TABLE t (id int PRIMARY KEY, a address, "b%" text DEFAULT 'ask ann@mail.example');
        COMMENT ON COLUMN t.a IS 'as DE89370400440532013000 has it';
        CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'bob@mail.example' $$;
        COMMENT ON TABLE t IS 'from x@example.invalid';
    """)
    found = preflight(shop.migration({"tables": {}}))
    (told,) = (str(finding) for finding in found if finding.check == "personal data")
    assert "the structure is copied as it is, and looks personal in" in told
    assert 'column "public"."t"."a" (account)' in told
    assert "function public.f() (e-mail address)" in told
    assert "domain" not in told
    assert told.count("(e-mail address)") == 2
    assert "ann@" not in told
