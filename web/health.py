"""/healthz: for supervisors and containers; says nothing about people."""

from flask import Blueprint, jsonify
from werkzeug.wrappers import Response

from store import health
from web.services import house

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """200 while pages can be served (the database answers), else 503; the rest is told, not judged."""
    found = health.ping(house().database, house().redis)
    report = {
        "ok": found.database,
        "database": found.database,
        "redis": found.redis,
        "workers": list(found.workers),
        "live": house().hub.listening,
        "sockets": house().seats.taken,
    }
    return jsonify(report), 200 if found.database else 503
