"""The `tanpuhui` command."""

import signal
import sys
import threading
import time
from typing import Any
from uuid import UUID

import click

from tanpuhui import figures, outbox, reference, schema, staff
from tanpuhui.config import Settings
from tanpuhui.divisions import Division
from tanpuhui.errors import ConfigurationError, TanpuhuiError
from tanpuhui.logs import configure_logging
from tanpuhui.people import Resident
from tanpuhui.rooms import House, build_house
from tanpuhui.sessions import new_api_token
from tanpuhui.staff import Role, RoleGrant, Staff
from tanpuhui.worker import Worker


def main() -> None:
    """Entry point: build the house, add the commands of its rooms, run one."""
    try:
        settings = Settings()
        configure_logging(settings)
        house = build_house(settings, pool_size=settings.threads + 8)
    except ConfigurationError as error:
        sys.exit(f"tanpuhui: {error}")
    except ValueError as error:
        sys.exit(f"tanpuhui: {error}")
    for room in house.rooms:
        for command in room.commands():
            cli.add_command(command)
    try:
        cli(obj=house, standalone_mode=True)
    finally:
        house.db.dispose()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tanpuhui")
def cli() -> None:
    """碳普惠: carbon inclusion for a city district."""


def _house() -> House:
    found: House = click.get_current_context().obj
    return found


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port (TANPUHUI_PORT, 8000).")
def serve(port: int | None) -> None:
    """Embedded: migrate, load reference data, web, relay and scheduler in one process."""
    import waitress

    house = _house()
    settings = house.settings
    if port and port != settings.port:
        settings = Settings(port=port)
        house.settings = settings
    schema.migrate(house)
    with house.db.reading() as connection:
        is_new = reference.current_version(connection) == 0
    if is_new:
        reference.load_reference(house)
    from tanpuhui.web import create_app

    app = create_app(house)
    worker = Worker(house)
    server: Any = waitress.create_server(
        app,
        host=settings.host,
        port=settings.port,
        threads=settings.threads,
        ident=None,
        channel_timeout=60,
        connection_limit=800,  # phones keep their connection; poll, because select ends at 1024 descriptors
        asyncore_use_poll=True,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    worker.start()
    _greet(house)
    try:
        server.run()
    finally:
        worker.stop()
        click.echo("Stopped. Your data is kept.")


def _greet(house: House) -> None:
    settings = house.settings
    base = f"http://{settings.host}:{settings.port}"
    lines = [
        f"Tanpuhui 碳普惠 is running on {base}",
        f"  residents   {base}/",
        f"  organisers  {base}/console",
        f"  the bureau  {base}/bureau",
    ]
    token = staff.first_invitation(house)
    if token:
        lines.append(f"  first member of staff: open {base}/staff/first/{token} (once, within three days)")
    where = settings.var.resolve() if house.db.is_sqlite else house.db.url.render_as_string()
    lines.append(f"  data        {where}")
    lines.append("Ctrl-C stops it; the data is kept.")
    click.echo("\n".join(lines))
    sys.stdout.flush()


def _stop(_signal: int, _frame: Any) -> None:
    raise SystemExit(0)


@cli.command()
def worker() -> None:
    """Relay and scheduled jobs; run any number, one leads."""
    runner = Worker(_house())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_args: threading.Thread(target=runner.stop).start())
    runner.run()


@cli.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    schema.migrate(_house())
    click.echo("The database is at the newest schema.")


@cli.command()
@click.argument("subject")
def token(subject: str) -> None:
    """An API token for SUBJECT: resident:<id>, or <role>:<id> such as organiser:<id>, officer:<id>."""
    kind, _, text = subject.partition(":")
    try:
        subject_id = UUID(text)
    except ValueError:
        raise click.BadParameter("expected <role>:<id>, the id being a UUID") from None
    house = _house()
    with house.db.reading_session() as session:
        if kind == "resident":
            if session.get(Resident, subject_id) is None:
                raise click.ClickException("no such resident")
        else:
            _check_role(session, kind, subject_id)
    if kind == "resident":
        click.echo(new_api_token(house, kind="resident", subject_id=subject_id))
    else:
        click.echo(new_api_token(house, kind="staff", subject_id=subject_id, role=kind))


def _check_role(session: Any, kind: str, subject_id: UUID) -> None:
    from sqlmodel import select

    if kind not in set(Role):
        raise click.BadParameter(f"the role is resident or one of {', '.join(Role)}")
    query = select(RoleGrant.id).where(RoleGrant.staff_id == subject_id, RoleGrant.role == Role(kind))
    if session.get(Staff, subject_id) is None or session.exec(query).first() is None:
        raise click.ClickException(f"no member of staff {subject_id} is {kind}")


@cli.command()
@click.option(
    "--role", "roles", type=click.Choice([role.value for role in Role]), multiple=True, required=True
)
@click.option("--division", help="Code of the division they work for (default: the district).")
def invite(roles: tuple[str, ...], division: str | None) -> None:
    """A one-time link by which a member of staff chooses a name and a password."""
    house = _house()
    scope = division or house.settings.district_code
    with house.db.reading_session() as session:
        if session.get(Division, scope) is None:
            raise click.BadParameter(f"no division {scope}", param_hint="--division")
    made = staff.invite(house, [staff.grant(Role(role), division_code=scope) for role in roles])
    click.echo(f"{house.settings.public_url}/staff/first/{made}")


@cli.command()
def verify() -> None:
    """Check every invariant; exit 1 and the rows on any breach."""
    house = _house()
    found = 0
    with house.db.snapshot() as connection:
        for invariant in (invariant for room in house.rooms for invariant in room.invariants):
            started = time.perf_counter()
            breaches = list(invariant.breaches(connection))
            found += len(breaches)
            mark = "ok  " if not breaches else "FAIL"
            click.echo(f"{mark} {invariant.name} ({time.perf_counter() - started:.2f} s)")
            for line in breaches[:100]:
                click.echo(f"     {line}")
    if found:
        raise click.exceptions.Exit(1)


@cli.command()
@click.option("--check", is_flag=True, help="Compare only; exit 1 on a difference.")
def rebuild(check: bool) -> None:
    """Build the figures again from the event log."""
    house = _house()
    house.relay.run_once()

    with house.db.transaction() as connection:
        undo = connection.begin_nested()
        length = outbox.length(connection)
        with click.progressbar(length=length, label="events", file=sys.stderr, show_pos=True) as bar:
            differences = figures.rebuild(
                connection, house.feeds, check=check, progress=lambda done: bar.update(done - bar.pos)
            )
        if check:
            undo.rollback()
    for line in differences[:100]:
        click.echo(line)
    if differences:
        raise click.exceptions.Exit(1)
    click.echo("The figures equal a rebuild." if check else "The figures were rebuilt.")


if __name__ == "__main__":
    try:
        main()
    except TanpuhuiError as error:
        sys.exit(f"tanpuhui: {error}")
