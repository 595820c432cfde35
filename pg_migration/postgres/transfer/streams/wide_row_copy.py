"""COPY TO STDOUT of rows of many megabytes, read from libpq itself.

libpq holds a row twice: in its buffer, and as the message that it gives out. psycopg2 makes a third copy, and that one
can be saved: here the message itself is written on. For rows of usual width psycopg2 is the faster way.

PostgreSQL docs: "Functions Associated with the COPY Command"; psycopg2 docs: ``connection.pgconn_ptr``.
"""

import ctypes
import os
from functools import cache

from psycopg2 import _psycopg, sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.literals import encoded

# How many times a row is in memory meanwhile.
COPIES_OF_A_ROW = 2

# From libpq-fe.h and postgres_ext.h.
_CONNECTION_OK = 0
_COMMAND_OK = 1
_COPY_OUT = 3
_PARTS_OF_A_MESSAGE = b"MDW"  # primary, detail, context


class WideCopyFailed(Exception):
    """The source could not send all rows; the message is the server's, or libpq's where the connection was lost."""


def copy_wide_rows(connection: Connection, statement: sql.Composable, descriptor: int) -> int:
    """Run COPY TO STDOUT inside the transaction that is open, and write what comes to a file descriptor.

    Args:
        connection: it is of no further use after an error, and closed if that was its loss.

    Returns:
        The number of rows, as the server counted them.

    Raises:
        WideCopyFailed: as it says.
        OSError: writing failed.
    """
    libpq, conn = _libpq(), ctypes.c_void_p(connection.pgconn_ptr)
    begun = libpq.PQexec(conn, encoded(statement.as_string(connection), connection))
    _demand(connection, begun, _COPY_OUT)
    message = ctypes.c_void_p()
    while (size := libpq.PQgetCopyData(conn, ctypes.byref(message), 0)) > 0:
        try:
            _write(descriptor, memoryview((ctypes.c_char * size).from_address(message.value or 0)))
        finally:
            libpq.PQfreemem(message)
    rows = _demand(connection, libpq.PQgetResult(conn), _COMMAND_OK)
    _finish(libpq, conn)
    return rows


def _demand(connection: Connection, result: int | None, status: int) -> int:
    """The number of rows that a result tells, if its status is this one."""
    libpq, conn = _libpq(), ctypes.c_void_p(connection.pgconn_ptr)
    try:
        if libpq.PQresultStatus(result) == status:
            return int(libpq.PQcmdTuples(result) or 0)
        parts = [libpq.PQresultErrorField(result, part) for part in _PARTS_OF_A_MESSAGE]
    finally:
        libpq.PQclear(result)
    told = [part for part in parts if part] or [libpq.PQerrorMessage(conn)]
    _finish(libpq, conn)  # a server that ends the session says why first, and then is gone
    if libpq.PQstatus(conn) != _CONNECTION_OK:
        connection.close()
    raise WideCopyFailed("; ".join(" ".join(part.decode(errors="replace").split()) for part in told))


def _finish(libpq: ctypes.CDLL, conn: ctypes.c_void_p) -> None:
    while result := libpq.PQgetResult(conn):
        libpq.PQclear(result)


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@cache
def _libpq() -> ctypes.CDLL:
    """The libpq that psycopg2 was loaded with."""
    libpq = ctypes.CDLL(_psycopg.__file__)
    pointer = ctypes.c_void_p
    for name, result, arguments in (
        ("PQexec", pointer, (pointer, ctypes.c_char_p)),
        ("PQgetResult", pointer, (pointer,)),
        ("PQclear", None, (pointer,)),
        ("PQresultStatus", ctypes.c_int, (pointer,)),
        ("PQresultErrorField", ctypes.c_char_p, (pointer, ctypes.c_int)),
        ("PQcmdTuples", ctypes.c_char_p, (pointer,)),
        ("PQgetCopyData", ctypes.c_int, (pointer, ctypes.POINTER(pointer), ctypes.c_int)),
        ("PQfreemem", None, (pointer,)),
        ("PQerrorMessage", ctypes.c_char_p, (pointer,)),
        ("PQstatus", ctypes.c_int, (pointer,)),
    ):
        function = getattr(libpq, name)
        function.restype, function.argtypes = result, arguments
    return libpq
