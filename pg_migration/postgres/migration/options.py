"""The options of a migration: what a run does besides copying, and what it may do to the target."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from pg_migration.postgres.figures import bytes_of
from pg_migration.postgres.planning.options import Group, LoadSettings, option

Owners = bool | Literal["best_effort"]
Against = Literal["source", "ledger"]
ExtensionVersions = Literal["default", "source"]
Statistics = Literal["carry", "analyze"]
Refresh = Literal["in_place", "swap"]
NoIdentity = Literal["refuse", "index", "full", "reload"]
OWNERS: tuple[Owners, ...] = (True, False, "best_effort")


def _position(value: object) -> object:
    """A position of a switch; command lines and quoted YAML give it as text."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class Options(LoadSettings):
    """Everything that can be chosen about a migration but its databases and schemas."""

    exclude_tables: list[str] = option(
        [],
        "Patterns (fnmatch) of tables to leave out, as 'table' or 'schema.table'.",
        Group.CONTENT,
        ("preflight", "plan", "migrate", "validate", "repair", "compare"),
    )
    drop_existing_tables: bool = option(
        False,
        "Drop and recreate tables that exist in the target, instead of keeping and emptying.",
        Group.DANGER,
        ("preflight", "migrate"),
    )
    overwrite_existing_rows: bool = option(
        False,
        "Delete rows of the target that earlier runs did not load from this source. When off, a run that would empty, "
        "drop or replace such rows stops before it changes anything.",
        Group.DANGER,
        ("preflight", "migrate", "repair"),
    )
    check_content: bool = option(
        True,
        "After copying, compare a hash over all rows with the source. Without it only rows are counted, which takes "
        "less time. The job validate always does both.",
        Group.CHECKS,
        ("migrate",),
    )
    content_sample_percent: float = option(
        100.0,
        "Of tables with more rows than partition_threshold and a primary key, hash about this share of the rows only. "
        "Both sides choose the same rows, by a hash of the key; the check says that it was a sample.",
        Group.CHECKS,
        ("migrate", "validate", "repair"),
    )
    against: Against = option(
        "source",
        "'source': as it is now; 'ledger': as it was when it was copied, by the digests that runs have kept in the "
        "target. The source is not asked then, and may be gone. Only rows and large objects are compared.",
        Group.CHECKS,
        ("validate",),
    )
    # Dagster has no type for a switch with a third position.
    owners: Annotated[Any, BeforeValidator(_position)] = option(
        True,
        "Give every object the owner that it has in the source. true: the run is refused where the role of the target "
        "may not do that, or not grant what others granted. best_effort: such owners, grants and comments are left out "
        "and named in the summary. false: everything belongs to that role.",
        Group.CONTENT,
        ("preflight", "migrate", "validate", "repair"),
        examples=[*OWNERS],
    )
    privileges: bool = option(
        True,
        "Grant what the source grants, default privileges included.",
        Group.CONTENT,
        ("preflight", "migrate", "validate", "repair"),
    )
    extension_versions: ExtensionVersions = option(
        "default",
        "'default': extensions are made in the version that the target's server gives; 'source': in the source's where "
        "the target offers it. One that is there keeps its version.",
        Group.CONTENT,
        ("preflight", "migrate", "repair"),
    )
    create_roles: bool = option(
        False,
        "Create roles that owners, grants and policies name and the target lacks, without login. When off, the run "
        "stops and lists them.",
        Group.CONTENT,
        ("preflight", "migrate", "repair"),
    )
    large_objects: bool = option(
        True,
        "Copy large objects: all of the database, or those that columns of type oid in the migrated tables refer to, "
        "where tables of other schemas have such columns, too.",
        Group.CONTENT,
        ("preflight", "migrate", "validate", "repair"),
    )
    statistics: Statistics = option(
        "carry",
        "'carry': the target's planner knows of each table what the source's does, where the target takes that (18 "
        "and newer), so that the first query has its plan; else tables are analyzed. 'analyze': all are.",
        Group.CONTENT,
        ("migrate", "repair"),
    )
    spread_over: int = option(
        0,
        "How many further runs, launched through the instance's queue, copy the key ranges of large tables at once, "
        "wherever the run launcher starts them. 0: this run copies everything itself.",
        Group.SPEED,
        ("migrate",),
    )

    refresh: Refresh = option(
        "in_place",
        "'in_place': the tables that are there are emptied and filled, and readers see that. 'swap': everything is "
        "loaded and compared in a schema beside each live one, which it replaces at once when every check has passed.",
        Group.CONTENT,
        ("preflight", "migrate"),
    )
    keep_previous: int = option(
        1,
        "With refresh 'swap': whether (1) or not (0) what was live before stays, as <schema>__previous, until the next "
        "run.",
        Group.CONTENT,
        ("migrate",),
    )
    reuse_unchanged: bool = option(
        False,
        "With refresh 'swap': tables that were not written to in the source since the live copy was made are taken "
        "from that, each proved by the digest that the ledger has of it, instead of being read again.",
        Group.SPEED,
        ("migrate",),
    )
    swap_wait_seconds: int = option(
        300,
        "With refresh 'swap': how long to wait for sessions whose transactions began before the load ended, and who "
        "would see empty tables after the swap.",
        Group.CONTENT,
        ("migrate",),
    )
    swap_anyway: bool = option(
        False,
        "With refresh 'swap': swap after that time although such sessions are there, instead of failing.",
        Group.DANGER,
        ("migrate",),
    )
    follow: bool = option(
        False,
        "Copy from the snapshot of a replication slot, and have PostgreSQL's logical replication keep the target in "
        "step with the source from there on, until the cutover. Makes a publication and a slot in the source.",
        Group.CONTENT,
        ("preflight", "migrate"),
    )
    no_identity: NoIdentity = option(
        "refuse",
        "With follow, what becomes of tables without a primary key or another replica identity, whose updates could "
        "not be replicated. 'refuse': the run stops and lists them. 'index': the source is told to identify their rows "
        "by a unique index. 'full': by the whole row. 'reload': they are copied again at the cutover instead.",
        Group.CONTENT,
        ("preflight", "migrate"),
    )
    max_retained_wal: str = option(
        "50GB",
        "With follow, how much WAL the source may keep for the target, with a unit (MB, GB, TB). At half of it there "
        "is a warning; at all of it the slot is dropped, so that the source's disk does not fill.",
        Group.CONTENT,
        ("preflight", "migrate"),
    )
    max_lag_seconds: int = option(
        60,
        "With follow, how far behind the source the target may be before the check replication_lag warns.",
        Group.CHECKS,
        ("migrate",),
    )
    # Dagster's configuration has no type for a document; a mapping takes anything.
    transform: dict[str, Any] = option(
        {},
        "What is chosen and masked of the source's rows: the content of a file such as PG_MIGRATION_TRANSFORM names, "
        "in place of that. None: all rows as they are, where no file is named either.",
        Group.CONTENT,
        ("preflight", "plan", "migrate", "validate", "repair"),
    )
    try_all_rows: bool = option(
        False,
        "Before anything is written, try masks on all rows that they are for, rather than on the first 10,000 of each "
        "table.",
        Group.CHECKS,
        ("preflight", "migrate"),
    )

    def problems(self) -> Iterator[str]:
        """What is out of range, a setting each."""
        yield from super().problems()
        if not 0 < self.content_sample_percent <= 100:
            yield (
                f"content_sample_percent is {self.content_sample_percent:g}, but must be more than 0 and at most 100"
            )
        if self.against not in get_args(Against):
            yield f"against is {self.against!r}, but must be one of {', '.join(get_args(Against))}"
        if self.extension_versions not in get_args(ExtensionVersions):
            allowed = ", ".join(get_args(ExtensionVersions))
            yield f"extension_versions is {self.extension_versions!r}, but must be one of {allowed}"
        if self.statistics not in get_args(Statistics):
            yield f"statistics is {self.statistics!r}, but must be one of {', '.join(get_args(Statistics))}"
        if self.owners not in OWNERS:
            yield f"owners is {self.owners!r}, but must be true, false or best_effort"
        if self.refresh not in get_args(Refresh):
            yield f"refresh is {self.refresh!r}, but must be one of {', '.join(get_args(Refresh))}"
        if self.keep_previous not in (0, 1):
            yield f"keep_previous is {self.keep_previous}, but must be 0 or 1"
        if self.swap_wait_seconds < 0:
            yield f"swap_wait_seconds is {self.swap_wait_seconds}, but must be at least 0"
        if self.refresh == "swap" and self.drop_existing_tables:
            yield "drop_existing_tables means nothing with refresh 'swap', where every table is new: set one of them"
        if self.refresh == "swap" and self.spread_over:
            yield "spread_over is not possible with refresh 'swap': set one of them"
        if self.no_identity not in get_args(NoIdentity):
            yield f"no_identity is {self.no_identity!r}, but must be one of {', '.join(get_args(NoIdentity))}"
        if self.max_lag_seconds < 1:
            yield f"max_lag_seconds is {self.max_lag_seconds}, but must be at least 1"
        try:
            bytes_of(self.max_retained_wal)
        except ValueError as refusal:
            yield f"max_retained_wal is {self.max_retained_wal!r}, but {refusal}"
        if self.follow and self.refresh == "swap":
            yield "follow needs the tables under their names, and refresh 'swap' gives them others: set one of them"
        if self.follow and self.transform:
            yield "follow is not possible with a transform: logical replication can't mask or choose rows"
        if self.reuse_unchanged and self.refresh != "swap":
            yield "reuse_unchanged takes tables from a live copy that another one replaces: it needs refresh 'swap'"
        if self.reuse_unchanged and not self.check_content:
            yield "reuse_unchanged needs check_content, as a table is taken over only where its rows were hashed"
        if self.spread_over < 0:
            yield f"spread_over is {self.spread_over}, but must be at least 0"
