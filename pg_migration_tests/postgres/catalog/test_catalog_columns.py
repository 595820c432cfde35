"""Nothing that a system catalog holds is lost without a word: every column is read, or here is why it need not be.

A server with a catalog or a column that is not among these fails the test. Then either the query of that kind reads it,
or a line here says why not.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg2
import pytest

from pg_migration.postgres.sql_files import sql_file
from pg_migration_tests.conftest import PostgresServer

FUNCTIONS_DDL = "pg_get_functiondef reads it"
INTERNAL = "the server's own: it follows from what is read, or from the rows"
PLACE = "where and how much the server has stored"
TARGETS_OWN = "the target's own is kept"
OF_THE_TYPE = "a copy of what the column's type says"
NOT_OF_THIS_KIND = "has one value only for this kind"
ONLY_INFORMATION = "dimensions of arrays, which nobody demands: no dump has them"


@dataclass(frozen=True)
class Charge:
    """What the queries of some kinds read of a catalog, and why that is all: columns by reason.

    Queries are in ``catalog/queries`` where no other folder is named.
    """

    catalog: str
    queries: str
    unread: Mapping[str, str]


CHARGES = (
    Charge("pg_am", "access_methods", {}),
    Charge(
        "pg_aggregate",
        "aggregates",
        {"pg_get_function_arguments reads it": "aggnumdirectargs"},
    ),
    Charge("pg_attrdef", "columns view_defaults", {}),
    Charge(
        "pg_attribute",
        "columns tables identities constraints indexes materialized_views",
        {
            OF_THE_TYPE: "attlen attbyval attalign",
            ONLY_INFORMATION: "attndims",
            INTERNAL: "attcacheoff atthasdef atthasmissing attmissingval attinhcount",
        },
    ),
    Charge(
        "pg_attribute",
        "composites",
        {
            OF_THE_TYPE: "attlen attbyval attalign attstorage",
            ONLY_INFORMATION: "attndims",
            INTERNAL: "attcacheoff atthasdef atthasmissing attmissingval attinhcount",
            NOT_OF_THIS_KIND: "attstattarget attnotnull attidentity attgenerated attislocal attoptions attfdwoptions "
            "attcompression",
        },
    ),
    Charge("pg_cast", "casts", {}),
    Charge(
        "pg_class",
        "tables columns table_listing views materialized_views indexes sequences row_security outside",
        {
            PLACE: "relfilenode relpages relallvisible relallfrozen relfrozenxid relminmxid relrewrite",
            INTERNAL: "relhasindex relnatts relchecks relhasrules relhastriggers relhassubclass",
            "of shared catalogs": "relisshared",
        },
    ),
    Charge(
        "pg_collation",
        "collations",
        {"CREATE COLLATION takes the database's": "collencoding", TARGETS_OWN: "collversion"},
    ),
    Charge(
        "pg_constraint",
        "constraints domain_constraints extension_constraints",
        {
            "pg_get_constraintdef reads it": "condeferrable condeferred confupdtype confdeltype confmatchtype "
            "conpfeqop conppeqop conffeqop conexclop confdelsetcols conbin",
            INTERNAL: "coninhcount connamespace",
        },
    ),
    Charge("pg_conversion", "conversions", {}),
    Charge(
        "pg_database",
        "database",
        {
            "what the database was made with: preflight compares it": "encoding datcollate datctype "
            "datlocprovider daticulocale datlocale daticurules",
            TARGETS_OWN: "datcollversion datlastsysoid datfrozenxid datminmxid dathasloginevt",
            "one that refuses connections can't be read": "datallowconn",
        },
    ),
    Charge("pg_db_role_setting", "database_settings", {}),
    Charge("pg_default_acl", "default_privileges", {}),
    Charge("pg_depend", "dependencies", {}),
    Charge("pg_description", "comments", {}),
    Charge("pg_enum", "enums", {}),
    Charge("pg_event_trigger", "event_triggers", {}),
    Charge("pg_foreign_data_wrapper", "foreign_data_wrappers", {}),
    Charge("pg_foreign_server", "foreign_servers", {}),
    Charge("pg_foreign_table", "tables", {}),
    Charge("pg_seclabel", "security_labels", {}),
    Charge("pg_publication", "publications", {}),
    Charge("pg_publication_rel", "publications publication_tables", {}),
    Charge("pg_publication_namespace", "publication_schemas", {"pg_depend tells the same": "pnpubid pnnspid"}),
    Charge(
        "pg_subscription",
        "subscriptions",
        {
            "made disabled, as pg_dump does": "subenabled",
            INTERNAL: "subskiplsn subretentionactive",
        },
    ),
    Charge(
        "pg_extension",
        "extensions extension_configurations",
        {
            "nobody can give an extension away": "extowner",
            "its control file says so": "extrelocatable",
        },
    ),
    Charge(
        "pg_index",
        "indexes constraints tables",
        {
            "pg_get_indexdef reads it": "indnatts indnkeyatts indisunique indisexclusion indimmediate indkey "
            "indcollation indclass indoption indexprs indpred indnullsnotdistinct",
            INTERNAL: "indisprimary indcheckxmin indisready indislive",
        },
    ),
    Charge("pg_inherits", "tables", {}),
    Charge("pg_init_privs", "privileges", {}),
    Charge("pg_language", "languages", {}),
    Charge("pg_largeobject", "large_objects/states", {"lo_get reads it": "loid pageno data"}),
    Charge("pg_largeobject_metadata", "large_objects/states", {}),
    Charge("pg_namespace", "schemas owners privileges", {}),
    Charge("pg_opclass", "operator_classes", {}),
    Charge("pg_operator", "operators", {"its function says so": "oprkind oprresult"}),
    Charge("pg_opfamily", "operator_families", {}),
    Charge(
        "pg_amop",
        "operator_classes operator_family_members",
        {"pg_depend tells its family": "amopfamily amopmethod", "amopsortfamily says so": "amoppurpose"},
    ),
    Charge("pg_amproc", "operator_classes operator_family_members", {"pg_depend tells its family": "amprocfamily"}),
    Charge(
        "pg_partitioned_table",
        "tables",
        {
            "pg_get_partkeydef reads it": "partnatts partattrs partcollation partexprs",
            "the bound of the default partition says so": "partdefid",
        },
    ),
    Charge("pg_policy", "policies", {}),
    Charge(
        "pg_proc",
        "functions",
        {
            FUNCTIONS_DDL: "prolang procost prorows provariadic prosupport prosecdef proleakproof proisstrict "
            "proretset provolatile proparallel pronargdefaults prorettype proallargtypes proargmodes "
            "proargnames proargdefaults protrftypes probin",
        },
    ),
    Charge(
        "pg_proc",
        "aggregates",
        {
            "pg_get_function_arguments reads it": "provariadic proallargtypes proargmodes proargnames",
            "the final function says so": "prorettype",
            NOT_OF_THIS_KIND: "prolang procost prorows prosecdef proleakproof proisstrict proretset provolatile "
            "pronargdefaults proargdefaults protrftypes prosrc probin proconfig prosqlbody",
        },
    ),
    Charge(
        "pg_range",
        "ranges",
        {"CREATE TYPE makes them": "rngconstruct2 rngconstruct3 rngmltconstruct0 rngmltconstruct1 rngmltconstruct2"},
    ),
    Charge("pg_rewrite", "rules", {"pg_get_ruledef reads it": "ev_type is_instead ev_qual ev_action"}),
    Charge("pg_sequence", "sequences identities", {}),
    Charge("pg_shdescription", "database", {}),
    Charge("pg_statistic_ext", "statistics", {"pg_get_statisticsobjdef reads it": "stxkeys stxkind stxexprs"}),
    Charge("pg_transform", "transforms", {}),
    Charge(
        "pg_trigger",
        "triggers",
        {
            "pg_get_triggerdef reads it": "tgfoid tgtype tgconstrrelid tgdeferrable tginitdeferred tgnargs "
            "tgattr tgargs tgqual tgoldtable tgnewtable",
            "of the triggers of constraints": "tgconstrindid",
        },
    ),
    Charge("pg_ts_config", "text_search_configurations", {}),
    Charge("pg_ts_config_map", "text_search_configurations", {}),
    Charge("pg_ts_dict", "text_search_dictionaries", {}),
    Charge("pg_ts_parser", "text_search_parsers", {}),
    Charge("pg_ts_template", "text_search_templates", {}),
    Charge(
        "pg_type",
        "base_types",
        {NOT_OF_THIS_KIND: "typnotnull typbasetype typtypmod typndims", "typdefault is the same": "typdefaultbin"},
    ),
    Charge(
        "pg_type",
        "domains composites enums ranges",
        {
            "CREATE DOMAIN takes it from the base type, other types have the one of their kind": "typlen typbyval "
            "typcategory typispreferred typisdefined typdelim typelem typinput typoutput typreceive typsend typmodin "
            "typmodout typanalyze typalign typstorage typsubscript",
            ONLY_INFORMATION: "typndims",
        },
    ),
)
# Catalogs that no kind is made from.
OTHERS = {
    "pg_auth_members": "roles have a command of their own",
    "pg_authid": "roles have a command of their own",
    "pg_parameter_acl": "roles have a command of their own",
    "pg_pltemplate": "nobody fills it (until 12)",
    "pg_replication_origin": "of the whole server",
    "pg_shdepend": "follows from owners and privileges",
    "pg_shseclabel": "of the whole server",
    "pg_statistic": "ANALYZE fills it",
    "pg_statistic_ext_data": "ANALYZE fills it",
    "pg_subscription_rel": "the publisher fills it",
    "pg_tablespace": "of the whole server",
    "pg_user_mapping": "pg_user_mappings shows it to whoever may read it",
}
CATALOGS = """
    SELECT c.relname, array_agg(a.attname::text)
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
     GROUP BY 1
"""


@pytest.fixture(scope="module", params=["postgres15", "postgres16", "postgres18", "postgres19"])
def catalogs(request: pytest.FixtureRequest) -> Iterator[Mapping[str, list[str]]]:
    server: PostgresServer = request.getfixturevalue(request.param)
    connection = psycopg2.connect(server.url())
    with connection.cursor() as cursor:
        cursor.execute(CATALOGS)
        yield dict(cursor.fetchall())
    connection.close()


def words(queries: str) -> set[str]:
    """The words of some queries, in whose comments nothing counts."""
    paths = (name if "/" in name else f"catalog/queries/{name}" for name in queries.split())
    texts = (sql_file(f"{path}.sql") for path in paths)
    return {word for text in texts for word in re.findall(r"\w+", re.sub(r"--.*", "", text))}


EVERYWHERE = words("comments owners privileges")


def test_every_catalog_is_known(catalogs: Mapping[str, list[str]]) -> None:
    charged = {charge.catalog for charge in CHARGES}
    assert catalogs.keys() - charged - OTHERS.keys() == set()
    assert charged & OTHERS.keys() == set()


@pytest.mark.parametrize("charge", CHARGES, ids=lambda charge: f"{charge.catalog}: {charge.queries}")
def test_every_column_is_read(catalogs: Mapping[str, list[str]], charge: Charge) -> None:
    columns = set(catalogs[charge.catalog])
    named = {column for some in charge.unread.values() for column in some.split()}
    assert columns - words(charge.queries) - EVERYWHERE == columns & named - EVERYWHERE
