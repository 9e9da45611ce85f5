"""The line that everybody reads: on every page, in the chat as it comes, until somebody puts it away in their browser.

What it refuses to know: who writes it (admin/dashboard.py), and where it is kept (store/site_state.py). Pages show what
the housekeeper saw last, so no page asks the database for it.
"""

from flask import Blueprint, Flask, request, session
from flask_login import current_user
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from store.site_state import Announcement
from web.auth.accounts import safe_next_url, signed_in
from web.errors import wants_json
from web.services import services

blueprint = Blueprint("announcements", __name__)
PUT_AWAY = "put_away"  # in the session: the id of the line that this browser has seen enough of


def init_app(app: Flask) -> None:
    """Give templates `announcement()`."""
    app.add_template_global(_shown, "announcement")


@blueprint.post("/announcement/put-away")
@signed_in
def put_away() -> Response | tuple[str, int]:
    """Do not show this line in this browser any more; a new one will be shown."""
    session[PUT_AWAY] = request.form.get("id", "")[:32]
    return ("", 204) if wants_json() else redirect(safe_next_url(request.form.get("back", "")))


def _shown() -> Announcement | None:
    told = services().maintenance.facts.announcement
    is_new = told is not None and session.get(PUT_AWAY) != told.id
    return told if is_new and current_user.is_authenticated else None
