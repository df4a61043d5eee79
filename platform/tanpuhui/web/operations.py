"""For whoever runs the platform: is it alive, is it ready, and how is it doing."""

import time
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from flask import Blueprint, Flask, Response, g, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
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
LAG = Gauge("tanpuhui_relay_lag_seconds", "Age of the oldest event not yet delivered", registry=REGISTRY)
PARKED = Gauge("tanpuhui_parked_events", "Events given up, waiting for staff", registry=REGISTRY)
LEASE = Gauge("tanpuhui_lease_age_seconds", "Since the leading worker last renewed", registry=REGISTRY)

#: Beyond this the figures are too old to be called live.
READY_LAG_SECONDS = 60


def measure(app: Flask) -> None:
    """Time every request and count scans by result."""

    @app.before_request
    def _start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def _note(response: Response) -> Response:
        LATENCY.labels(request.endpoint or "none").observe(time.perf_counter() - g.get("started", 0))
        if request.method == "POST" and request.endpoint in _SCAN_ENDPOINTS:
            SCANS.labels(g.get("scan_result", str(response.status_code))).inc()
        return response


_SCAN_ENDPOINTS = frozenset({"activities-api.post_scan", "activities.confirm"})


def blueprint(house: House) -> Blueprint:
    """`/healthz`, `/readyz`, `/metrics`."""
    operations = Blueprint("operations", __name__)

    @operations.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @operations.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks: dict[str, Any] = {}
        try:
            with house.db.reading() as connection:
                checks = _checks(connection, house)
        except (SQLAlchemyError, TanpuhuiError) as error:
            checks = {"database": type(error).__name__}
        ready = checks.get("database") == "ok" and checks.get("migration") == "head"
        ready = ready and checks["relay_lag_seconds"] < READY_LAG_SECONDS
        return jsonify(status="ready" if ready else "not ready", checks=checks), 200 if ready else 503

    @operations.get("/metrics")
    def metrics() -> Response:
        try:
            with house.db.reading() as connection:
                LAG.set(outbox.lag_seconds(connection, house.later))
                PARKED.set(len(outbox.parked(connection)))
                LEASE.set(_lease_age(connection) or float("nan"))
        except (SQLAlchemyError, TanpuhuiError):
            for gauge in (LAG, PARKED, LEASE):
                gauge.set(float("nan"))
        return Response(generate_latest(REGISTRY), mimetype="text/plain; version=0.0.4")

    return operations


def _checks(connection: Connection, house: House) -> dict[str, Any]:
    at_head = MigrationContext.configure(connection).get_current_heads() == schema.heads()
    return {
        "database": "ok",
        "migration": "head" if at_head else "behind",
        "relay_lag_seconds": round(outbox.lag_seconds(connection, house.later), 3),
        "lease_age_seconds": _lease_age(connection),
        "parked_events": len(outbox.parked(connection)),
    }


def _lease_age(connection: Connection) -> float | None:
    renewed = connection.scalar(
        sa.text("SELECT renewed_at FROM lease WHERE name = 'worker'").columns(renewed_at=UTCDateTime())
    )
    return round(max(0.0, (clock.now() - renewed).total_seconds()), 3) if renewed else None
