# One image for the code location, the webserver and the daemon.
FROM python:3.13-slim

ENV DAGSTER_HOME=/opt/dagster/home \
    PYTHONUNBUFFERED=1

WORKDIR /opt/pg_migration
COPY pyproject.toml LICENSE ./

# Dependencies change less often than the code, so they get a layer of their own.
COPY pg_migration/__init__.py pg_migration/
# What runs in containers of their own need as well: docker or kubernetes, see the folder deploy.
ARG EXTRAS=
RUN pip install --no-cache-dir ".${EXTRAS:+[$EXTRAS]}"
COPY pg_migration pg_migration
RUN pip install --no-cache-dir --no-deps --force-reinstall .

# A named volume takes its owner from the folder that it covers first. deploy/kubernetes has the group's number.
RUN groupadd --system --gid 999 dagster \
    && useradd --system --uid 999 --gid dagster --home-dir "$DAGSTER_HOME" dagster \
    && install --directory --owner=dagster "$DAGSTER_HOME" "$DAGSTER_HOME/storage" "$DAGSTER_HOME/pg_migration"
COPY dagster.yaml "$DAGSTER_HOME"/

WORKDIR /opt/dagster
COPY workspace.yaml ./
USER dagster
EXPOSE 3000 4000
CMD ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", "4000", "--module-name", "pg_migration.definitions"]
