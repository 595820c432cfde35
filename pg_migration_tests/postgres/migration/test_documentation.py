"""The program in docs/python.md does what the page says."""

import re
import subprocess
import sys
from pathlib import Path

from pg_migration_tests.conftest import PostgresServer

PAGE = Path(__file__).parents[3] / "docs" / "python.md"
SOURCE = "postgresql://reader:password@old-server:5432/shop"
TARGET = "postgresql://writer:password@new-server:5432/shop"


def test_the_program_of_the_page_migrates(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> None:
    postgres16.psql(
        source_db,
        "CREATE SCHEMA sales; CREATE TABLE sales.orders (id integer PRIMARY KEY);"
        "INSERT INTO sales.orders SELECT generate_series(1, 1200);"
        "CREATE TABLE sessions (id integer PRIMARY KEY); INSERT INTO sessions VALUES (1)",
    )
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert SOURCE in program
    assert TARGET in program
    program = program.replace(SOURCE, source_db).replace(TARGET, target_db)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("1 tables, 1,200 rows\n0 differences in structure\n")
    assert postgres18.psql(target_db, "SELECT count(*) FROM sales.orders").strip() == "1200"
    assert postgres18.psql(target_db, "SELECT to_regclass('public.sessions') IS NULL").strip() == "t"
