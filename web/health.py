"""/healthz: for supervisors and containers; says nothing about people."""

from flask import Blueprint, jsonify
from werkzeug.wrappers import Response

from store import health
from web.services import services

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """200 while pages can be served (the database answers), else 503; the rest is told, not judged."""
    found = health.ping(services().database, services().redis)
    report = {
        "ok": found.database,
        "database": found.database,
        "redis": found.redis,
        "workers": list(found.workers),
        "live": services().hub.listening,
        "sockets": services().socket_limiter.n_open,
    }
    return jsonify(report), 200 if found.database else 503
