#!/bin/bash
# What the official image's entry point does with POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB when its volume is new.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres /var/lib/postgresql
    exec setpriv --reuid postgres --regid postgres --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    initdb -D "$PGDATA" -U "$user" --auth trust --pwfile=<(echo "${POSTGRES_PASSWORD:?}") > /dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start > /dev/null
    PGPASSWORD=$POSTGRES_PASSWORD psql -X -q -U "$user" -d postgres -c "CREATE DATABASE \"${POSTGRES_DB:-$user}\""
    pg_ctl -D "$PGDATA" -m fast -w stop > /dev/null
fi
exec "$@"
