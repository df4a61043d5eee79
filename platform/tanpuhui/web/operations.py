"""For whoever runs the platform: is it alive, is it ready, and how is it doing.

Several web processes on one machine share their counts through the folder `PROMETHEUS_MULTIPROC_DIR`, which
has to be there and empty when the first of them starts.
"""

import math
import os
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from flask import Blueprint, Flask, Response, g, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.sql.sqltypes import UTCDateTime

from tanpuhui import clock, outbox, schema
from tanpuhui.errors import TanpuhuiError
from tanpuhui.rooms import House

REGISTRY = CollectorRegistry()
SCANS = Counter("tanpuhui_scans_total", "Scans by result", ["result"], registry=REGISTRY)
LATENCY = Histogram(
    "tanpuhui_request_seconds",
    "Time to answer by endpoint",
    ["endpoint"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

#: Beyond this the figures are too old to be called live.
READY_LAG_SECONDS = 60

_SCAN_ENDPOINTS = frozenset({"activities-api.post_scan", "activities.confirm"})


def measure(app: Flask) -> None:
    """Time every request and count scans by result."""

    @app.before_request
    def _start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def _note(response: Response) -> Response:
        if "started" in g:  # not there when the request was refused before it was looked at
            LATENCY.labels(request.endpoint or "none").observe(time.perf_counter() - g.started)
        if request.method == "POST" and request.endpoint in _SCAN_ENDPOINTS:
            SCANS.labels(g.get("scan_result", str(response.status_code))).inc()
        return response


def blueprint(house: House) -> Blueprint:
    """`/healthz`, `/readyz`, `/metrics`."""
    operations = Blueprint("operations", __name__)
    state = CollectorRegistry()
    state.register(_State(house))

    @operations.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @operations.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            with house.db.reading() as connection:
                checks = _checks(connection, house)
        except (SQLAlchemyError, TanpuhuiError) as error:
            checks = {"database": type(error).__name__}
        ready = checks.get("migration") == "head" and checks["relay_lag_seconds"] < READY_LAG_SECONDS
        return jsonify(status="ready" if ready else "not ready", checks=checks), 200 if ready else 503

    @operations.get("/metrics")
    def metrics() -> Response:
        text = generate_latest(_counted()) + generate_latest(state)
        return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")

    return operations


def _counted() -> CollectorRegistry:
    """The counts of this process, or those of all the processes that share a folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    merged = CollectorRegistry()
    MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
    return merged


class _State(Collector):
    """What the database knows, the same whichever process is asked; NaN where it cannot be told."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read it now."""
        lag = parked = lease = None
        try:
            with self._house.db.reading() as connection:
                lag = outbox.lag_seconds(connection, self._house.later)
                parked = len(outbox.parked(connection))
                lease = _lease_age(connection)
        except (SQLAlchemyError, TanpuhuiError):
            pass  # readyz tells; metrics go on without
        for name, what, value in (
            ("tanpuhui_relay_lag_seconds", "Age of the oldest event not yet delivered", lag),
            ("tanpuhui_parked_events", "Events given up, waiting for staff", parked),
            ("tanpuhui_lease_age_seconds", "Since the leading worker last renewed", lease),
        ):
            yield GaugeMetricFamily(name, what, value=math.nan if value is None else value)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing beforehand: registering must not ask the database."""
        return iter(())


def _checks(connection: Connection, house: House) -> dict[str, Any]:
    heads = MigrationContext.configure(connection).get_current_heads()
    if heads != schema.heads():
        return {"database": "ok", "migration": "behind"}
    return {
        "database": "ok",
        "migration": "head",
        "relay_lag_seconds": round(outbox.lag_seconds(connection, house.later), 3),
        "lease_age_seconds": _lease_age(connection),
        "parked_events": len(outbox.parked(connection)),
    }


def _lease_age(connection: Connection) -> float | None:
    renewed = connection.scalar(
        sa.text("SELECT renewed_at FROM lease WHERE name = 'worker'").columns(renewed_at=UTCDateTime())
    )
    return round(max(0.0, (clock.now() - renewed).total_seconds()), 3) if renewed else None
