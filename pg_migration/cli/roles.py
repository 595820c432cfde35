"""The command ``roles``: what makes the roles that the source needs on the target's server."""

import click

from pg_migration.cli.exit_status import FAILED, SUCCEEDED, misuse_told
from pg_migration.cli.help import HelpfulCommand
from pg_migration.cli.streams import put


@click.command(
    cls=HelpfulCommand,
    examples=(
        "pg_migration roles",
        "pg_migration roles --apply",
        "pg_migration roles --all --no-passwords > roles.sql",
    ),
    help="Print the statements that make the roles which the source needs on the target's server: those that own "
    "something or were granted something, those that these are members of, and their members. Roles that are there "
    "stay as they are. Passwords are copied as the verifiers that the server keeps, where the role that reads may see "
    "them. Ends with status 0 when it could tell, or when everything was made, 1 when a statement was refused.",
)
@click.option("--apply", is_flag=True, help="Run the statements on the target.")
@click.option("--all", "everything", is_flag=True, help="Print all of them, for any server; asks the source alone.")
@click.option("--passwords/--no-passwords", default=True, help="Copy passwords.  [default: on]")
@click.pass_context
def roles(context: click.Context, apply: bool, everything: bool, passwords: bool) -> None:
    """Print or make them, and end."""
    from pg_migration.cli.pairs import chosen_pair
    from pg_migration.postgres.connection.endpoint import Side
    from pg_migration.postgres.migration.roles import make_roles, roles_of, roles_to_make
    from pg_migration.reporting.formats import on_one_line

    if apply and everything:
        raise click.UsageError("--all prints what is needed for any server, so it can't be combined with --apply")
    with misuse_told():
        pair = chosen_pair(context)
        if everything:
            plan = roles_of(pair.endpoint(Side.SOURCE), pair.schemas[0], passwords)
        elif apply:
            plan, made = make_roles(pair.migration(pair.options), passwords)
        else:
            plan = roles_to_make(pair.migration(pair.options), passwords)
    if not apply:
        # A name may hold a line break, behind which a comment would be a statement.
        notes = (f"-- {on_one_line(note)}\n" for note in plan.notes)
        put("".join([*notes, *(f"{s.text};\n" for s in plan.statements)]))
        context.exit(SUCCEEDED)
    lines = [f"note: {note}" for note in plan.notes]
    lines += [f"made: {one.statement.what}" for one in made if one.error is None]
    lines += [f"refused: {one.statement.what}: {one.error}" for one in made if one.error is not None]
    put("".join(f"{on_one_line(line)}\n" for line in lines or ["the target has every role that is needed"]))
    context.exit(FAILED if any(one.error for one in made) else SUCCEEDED)
