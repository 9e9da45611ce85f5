"""The admin's page: how the house is right now and who uses it how much; the pause, and a line for everybody.

What it does: the page, the same as pieces of HTML every few seconds for the page that is open (`now`), and three forms.
What it refuses to know: chats, texts and characters: names of people are all that is shown. People and invitations are
on a page of their own (people.py); programs read the figures at /metrics (metrics.py).
To show something more: a piece in templates/_dashboard.html, its name in PIECES.
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
    """Keep the sums that all admins look at."""
    app.extensions["inglenook_usage"] = UsageReport()
    app.add_template_global(charts.shares, "shares")


@blueprint.get("")
@admin_only
def show() -> str:
    """How the house is."""
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
    """The pieces of the page, as they are now."""
    seen = _view()
    pieces = {name: str(get_template_attribute("_dashboard.html", name)(seen)) for name in PIECES}
    return jsonify({"pieces": pieces, "trouble": services().maintenance.trouble})


@blueprint.post("/pause")
@admin_only
def pause() -> Response:
    """Nothing new begins, or everything goes on."""
    wanted = request.form.get("paused") == "1"
    (queue.pause if wanted else queue.resume)(services().database, services().redis)
    services().maintenance.look()
    notices.done("paused" if wanted else "resumed")
    return redirect(url_for("admin.show"))


@blueprint.post("/announcement")
@admin_only
def announce() -> Response:
    """A line for everybody; an empty one takes the last one down."""
    try:
        told = site_state.announce(services().database, request.form.get("text", ""))
        services().maintenance.look()
        notices.done("announced" if told else "silent")
    except Refused as refusal:
        notices.refused(refusal)
    return redirect(url_for("admin.show"))


def _view() -> dict[str, Any]:
    """Everything that changes while one looks."""
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
        "paused": services().maintenance.facts.paused_since is not None,
    }


def _usage_report() -> UsageReport:
    return cast(UsageReport, current_app.extensions["inglenook_usage"])


def _daily_usage(everybody: tuple[UserView, ...], person_id: str) -> dict[str, Any]:
    """The last days, of one person or of all."""
    used = _usage_report().usage(services(), 14)
    who = next((one for one in everybody if one.id == person_id), None)
    spent = used.people.get(who.id, (Spent(),) * len(used.days)) if who else used.by_day
    top = charts.axis_top_s(day.busy_s for day in spent)
    bars = charts.stacks([(day.wake_s, day.read_s, day.write_s) for day in spent], top)
    rows = tuple(zip(used.days, spent, strict=True))
    return {"person": who, "rows": rows, "bars": bars, "top": top, "n_days": len(rows)}
