"""The health check /healthz for supervisors and containers; it needs no sign-in and says nothing about people."""

from flask import Blueprint, jsonify
from werkzeug.wrappers import Response

from store import health
from web.services import services

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """200 while pages can be served (the database answers), else 503; the other fields are information only."""
    store_health = health.ping(services().database, services().redis)
    report = {
        "ok": store_health.database,
        "database": store_health.database,
        "redis": store_health.redis,
        "workers": list(store_health.workers),
        "live": services().hub.listening,
        "sockets": services().socket_limiter.n_open,
    }
    return jsonify(report), 200 if store_health.database else 503
