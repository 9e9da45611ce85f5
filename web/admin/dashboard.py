"""The admin's dashboard: the page, its live updates, pausing the queue, the announcement.

What it does: the page is rendered once; from then on `now` sends the same pieces of HTML every few seconds.
What it refuses to know: chats, texts and characters; only names of people are shown. Accounts and invitations have
their own page (people.py); programs read the numbers at /metrics (metrics.py).
To add a piece: its value in activity.py and in `_view`; a macro in templates/_dashboard.html; the macro's name in
PIECES; its place, with data-piece, in templates/dashboard.html; css/admin.css.
"""

import time
from typing import Any, cast

from flask import (
    Blueprint,
    Flask,
    current_app,
    get_template_attribute,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response

from store import accounts, site_state, statistics
from store.broker import queue
from store.errors import Refused
from store.site_state import MAX_ANNOUNCEMENT
from store.usage import Spent
from store.views import UserView
from web import notices
from web.admin import activity, charts
from web.admin.activity import UsageReport
from web.auth.accounts import admin_only
from web.services import services

blueprint = Blueprint("admin", __name__, url_prefix="/admin")
PERIODS = (1, 7, 30)
PIECES = ("card", "queue", "minutes", "workers", "people", "days")


def init_app(app: Flask) -> None:
    """Make the usage report, which all admins share; give templates `shares`."""
    app.extensions["inglenook_usage"] = UsageReport()
    app.add_template_global(charts.shares, "shares")


@blueprint.get("")
@admin_only
def show() -> str:
    """The dashboard."""
    counted = statistics.count(services().database)
    now = time.time()
    invites = [one for one in accounts.list_invites(services().database) if not (one.used_at or one.revoked_at)]
    opened = sum(one.expires_at > now for one in invites)
    facts = site_state.read(services().database)
    return render_template(
        "dashboard.html", **_view(), facts=facts, counted=counted, n_invites=opened, most=MAX_ANNOUNCEMENT
    )


@blueprint.get("/now")
@admin_only
def now() -> Response:
    """JSON: the current HTML of each piece, for the page that is open."""
    view = _view()
    pieces = {name: str(get_template_attribute("_dashboard.html", name)(view)) for name in PIECES}
    maintenance = services().maintenance
    return jsonify({"pieces": pieces, "trouble": maintenance.trouble, "change_s": maintenance.change_s})


@blueprint.post("/pause")
@admin_only
def pause() -> Response:
    """Pause the queue (running turns end, no new one begins) or resume it."""
    is_pause = request.form.get("paused") == "1"
    (queue.pause if is_pause else queue.resume)(services().database, services().redis)
    services().maintenance.refresh()
    notices.done("paused" if is_pause else "resumed")
    return redirect(url_for("admin.show"))


@blueprint.post("/announcement")
@admin_only
def announce() -> Response:
    """Set the announcement; an empty text removes it."""
    try:
        announcement = site_state.announce(services().database, request.form.get("text", ""))
        services().maintenance.refresh()
        notices.done("announced" if announcement else "silent")
    except Refused as refusal:
        notices.refused(refusal)
    return redirect(url_for("admin.show"))


def _view() -> dict[str, Any]:
    """The values of all pieces."""
    everybody = accounts.list_users(services().database)
    n_days = request.args.get("days", type=int)
    n_days = n_days if n_days in PERIODS else PERIODS[0]
    samples = services().maintenance.trend.samples()
    return {
        "now": activity.read_activity(services(), everybody),
        "charts": activity.charts_of(samples),
        "people": _usage_report().people(services(), everybody, n_days),
        "days": _daily_usage(everybody, request.args.get("person", "")),
        "n_days": n_days,
        "periods": PERIODS,
        "paused": services().maintenance.site_state.paused_since is not None,
    }


def _usage_report() -> UsageReport:
    return cast(UsageReport, current_app.extensions["inglenook_usage"])


def _daily_usage(everybody: tuple[UserView, ...], person_id: str) -> dict[str, Any]:
    """The chart and the table of the last days, of one person or of all."""
    used = _usage_report().usage(services(), 14)
    person = next((one for one in everybody if one.id == person_id), None)
    spent = used.people.get(person.id, (Spent(),) * len(used.days)) if person else used.by_day
    top = charts.axis_top_s(day.busy_s for day in spent)
    bars = charts.stacks([(day.wake_s, day.read_s, day.write_s) for day in spent], top)
    rows = tuple(zip(used.days, spent, strict=True))
    return {"person": person, "rows": rows, "bars": bars, "top": top, "n_days": len(rows)}
