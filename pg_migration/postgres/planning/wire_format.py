"""The format of COPY in which the rows of a table travel."""

from psycopg2.extensions import connection as Connection


def raw_encoding(source: Connection, target: Connection) -> str | None:
    """The encoding in which text has to travel so that bytes pass unchanged; None when UTF8, as everywhere else, does.

    Databases of one encoding may hold bytes that no other encoding has, and SQL_ASCII takes any. Between others text is
    converted by way of UTF8. PostgreSQL docs: "Character Set Support".
    """
    encodings = [str(end.info.parameter_status("server_encoding")) for end in (source, target)]
    if encodings[0] == "UTF8" or encodings[1] not in (encodings[0], "SQL_ASCII"):
        return None
    return encodings[0]


# Built-in types whose send and receive functions speak the same bytes from PostgreSQL 12 to 19 and hold no OID of what
# users make.
PORTABLE_TYPES = (
    *(
        "bool",
        "bytea",
        "char",
        "name",
        "int2",
        "int4",
        "int8",
        "text",
        "json",
        "jsonb",
        "uuid",
        "money",
        "bit",
        "varbit",
        "pg_lsn",
        "oid8",
    ),
    *("varchar", "bpchar", "numeric", "float4", "float8", "date", "time", "timetz", "timestamp", "timestamptz"),
    *("interval", "inet", "cidr", "macaddr", "macaddr8", "point", "line", "lseg", "box", "path", "polygon", "circle"),
    *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
)
