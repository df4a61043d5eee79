"""The statements of one scan, as PostgreSQL's own log shows them, and pgbench running the same ones.

The log is read, not the driver hooked: it holds whatever was sent, however the app came to send it.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from flask.testing import FlaskClient

from benchmarks.crowd import NUMBERED_HASH, numbered_id
from benchmarks.deployments import Deployment
from tanpuhui import ids
from tanpuhui.rooms import build_house
from tanpuhui.sessions import fingerprint, new_api_token
from tests.world import World

_BEFORE = 7

#: The script walks through its residents in steps of this many, so that neighbours in time are none on disk.
STRIDE = 7919

_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] (\w+):  (.*)", re.DOTALL)
_STATEMENT = re.compile(r"^(?:statement|execute [^:]+): (.*)", re.DOTALL)
_PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")


@dataclass(frozen=True)
class Sent:
    """A statement and its parameters as SQL literals, by number."""

    text: str
    parameters: dict[int, str]


def read_log(text: str) -> list[Sent]:
    """The statements in a piece of PostgreSQL's log, in order."""
    entries: list[tuple[str, str]] = []
    for line in text.splitlines():
        found = _ENTRY.match(line)
        if found:
            entries.append((found[1], found[2]))
        elif entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]}\n{line.removeprefix(chr(9))}")
    sent: list[Sent] = []
    for level, said in entries:
        statement = _STATEMENT.match(said)
        if level == "LOG" and statement:
            sent.append(Sent(statement[1], {}))
        elif level == "DETAIL" and said.lower().startswith("parameters: ") and sent:
            values = {int(number): value for number, value in _PARAMETER.findall(said)}
            sent[-1] = Sent(sent[-1].text, values)
    return [statement for statement in sent if statement.text.strip()]


@dataclass(frozen=True)
class CapturedScan:
    """What one scan sent, and the texts in it that differ from scan to scan."""

    sent: list[Sent]
    number: str
    replaced: dict[str, str]

    def script(self) -> str:
        """The pgbench script of this scan for resident :n."""
        lines = [r"\set i :i + 1", rf"\set n :first + (:i * :clients + :client_id) * {STRIDE} % :size"]
        lines += [self._statement(statement) for statement in self.sent]
        return "\n".join(lines) + "\n"

    def _statement(self, sent: Sent) -> str:
        def value(match: re.Match[str]) -> str:
            literal = sent.parameters[int(match[1])]
            return literal if literal == "NULL" else self._expression(literal[1:-1].replace("''", "'"))

        return re.sub(r"\$(\d+)", value, sent.text).strip().rstrip(";") + ";"

    def _expression(self, value: str) -> str:
        """`value` as SQL, with what belongs to the sampled resident computed from :n."""
        for old, new in self.replaced.items():
            value = value.replace(old, new)
        pieces = [_quoted(piece) for piece in value.split(self.number)]
        return pieces[0] if len(pieces) == 1 else f"({' || :n || '.join(pieces)})"


def _quoted(text: str) -> str:
    """A literal without a colon, which pgbench would take for one of its variables."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3A").replace("\n", "\\n")
    return f"E'{escaped}'"


def capture(deployment: Deployment) -> CapturedScan:
    """Send a scan of a numbered resident through the app, in this process, and read off what it sent.

    A few scans before it make the app know its code and prepare its statements, as in any running server.
    """
    assert deployment.server is not None
    log = deployment.server.folder / "log"
    number = deployment.crowd.gather_numbered(_BEFORE + 1) + _BEFORE
    _log_statements(deployment, on=True)
    house = build_house(deployment.house.settings)
    try:
        client = World(house).client()
        for earlier in range(number - _BEFORE, number):
            _scan(client, deployment, earlier)
        seen = log.stat().st_size
        replaced = _scan(client, deployment, number)
        time.sleep(0.5)
    finally:
        _log_statements(deployment, on=False)
        house.db.dispose()
    return CapturedScan(read_log(log.read_bytes()[seen:].decode()), str(number), replaced)


def _scan(client: FlaskClient, deployment: Deployment, number: int) -> dict[str, str]:
    """Scan as resident `number`; the texts of it that a script has to replace, and by what."""
    resident_id = numbered_id(number)
    token = new_api_token(deployment.house, kind="resident", subject_id=resident_id)
    answer = client.post(
        "/api/v1/scans",
        json={"code": deployment.crowd.spread[0]},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": f"{ids.new_id().hex[:20]}{number}"},
    )
    if answer.status_code != 201:
        raise RuntimeError(f"the sampled scan was answered {answer.status_code}: {answer.text}")
    return {
        answer.get_json()["action"]["id"]: str(resident_id),
        fingerprint(token): f"{NUMBERED_HASH}{number}",
    }


def _log_statements(deployment: Deployment, *, on: bool) -> None:
    """Have PostgreSQL log what new connections to the database send, or stop it."""
    name = deployment.house.db.url.database
    setting = "SET log_statement = 'all'" if on else "RESET log_statement"
    with deployment.house.db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text(f'ALTER DATABASE "{name}" {setting}'))


@dataclass(frozen=True)
class PgbenchRun:
    """What pgbench says of a run: transactions a second, and milliseconds for one."""

    rate: float
    done: int
    latency_ms: float


def run_pgbench(
    deployment: Deployment, script: Path, *, first: int, size: int, clients: int, seconds: int
) -> PgbenchRun:
    """Run `script` with prepared statements for the `size` residents from number `first` on.

    Raises RuntimeError when a transaction fails, as when the residents do not suffice.
    """
    server, url = deployment.server, deployment.house.db.url
    assert server is not None
    variables = {"i": -1, "first": first, "size": size, "clients": clients}
    command = [str(server.programs / "pgbench"), "-n", "-M", "prepared", "-f", str(script)]
    command += ["-c", str(clients), "-j", "2", "-T", str(seconds)]
    command += [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
    command += ["-h", "127.0.0.1", "-p", str(url.port), "-U", str(url.username), str(url.database)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {
        name: re.search(pattern, said.stdout)
        for name, pattern in (
            ("rate", r"tps = ([\d.]+)"),
            ("done", r"transactions actually processed: (\d+)"),
            ("latency", r"latency average = ([\d.]+) ms"),
        )
    }
    if said.returncode or not all(found.values()):
        raise RuntimeError(f"pgbench failed:\n{said.stdout[-1000:]}\n{said.stderr[-2000:]}")
    rate, done, latency = (float(match[1]) for match in found.values() if match)
    return PgbenchRun(rate, int(done), latency)
