"""What a migration is: two databases, the schemas to migrate, and the options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas
from pg_migration.postgres.transform.document import Document, parse, read_file

DEFAULT_SCHEMA = "public"


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One migration.

    Args:
        source_schemas: comma-separated names, or ``*`` for every user schema of the source.
        target_schemas: as many names, in the same order; None keeps the source's names.
        transform_file: the file that says what is chosen and masked of the source's rows; empty for all as they are.
            The option ``transform`` goes before it.
        replication_url: how the target reaches the source, where that is another way than this program's; for follow.
        way_back_url: likewise how the source reaches the target, for a way back.
        variables: where a key is that a transform takes from the environment, by name.
    """

    source: Endpoint
    target: Endpoint
    source_schemas: str = DEFAULT_SCHEMA
    target_schemas: str | None = None
    options: Options = field(default_factory=Options)
    transform_file: str = ""
    replication_url: str = field(default="", repr=False)
    way_back_url: str = field(default="", repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def transform(self) -> Document | None:
        """What is chosen and masked; None for all rows as they are.

        Raises:
            ConfigurationError: it can't be read, or its key is missing.
        """
        if self.options.transform:
            return parse(self.options.transform, "the option transform", self.variables)
        return read_file(self.transform_file, self.variables) if self.transform_file else None

    @property
    def is_whole(self) -> bool:
        """Whether the whole database is migrated, and so what belongs to none of its schemas too."""
        return self.source_schemas.strip() == EVERY_SCHEMA

    def check(self) -> None:
        """Reject what can't be migrated; every use case begins with it.

        Raises:
            ConfigurationError: when an option is out of range, does not go with another or with the schemas, or the two
                lists of schemas do not pair up.
        """
        self.options.check()
        if self.is_whole and self.options.refresh == "swap":
            raise ConfigurationError(
                "refresh 'swap' needs the schemas by name (PG_MIGRATION_SOURCE_SCHEMA): what belongs to the whole "
                "database can't be swapped"
            )
        if not self.is_whole:
            schemas = map_schemas(self.source_schemas, self.target_schemas)
            if self.options.follow and any(source != target for source, target in schemas.items()):
                raise ConfigurationError(
                    "follow needs the same names of schemas on both sides, as logical replication goes by names: take "
                    "PG_MIGRATION_TARGET_SCHEMA away, and rename the schemas after the cutover"
                )
        if self.options.follow and self.transform_file:
            raise ConfigurationError(
                "follow is not possible with a transform (PG_MIGRATION_TRANSFORM): logical replication can't mask or "
                "choose rows"
            )

    @classmethod
    def between(
        cls,
        source_url: str,
        target_url: str,
        schemas: str = DEFAULT_SCHEMA,
        target_schemas: str | None = None,
        options: Options | None = None,
        transform_file: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> "Migration":
        """From two libpq URIs or key=value connection strings.

        Raises:
            ConfigurationError: when one of them can't be read, or as `check`.
        """
        made = cls(
            source=Endpoint.parse(Side.SOURCE, source_url, "source_url"),
            target=Endpoint.parse(Side.TARGET, target_url, "target_url"),
            source_schemas=schemas,
            target_schemas=target_schemas,
            options=options or Options(),
            transform_file=transform_file,
            variables=variables or {},
        )
        made.check()
        return made
