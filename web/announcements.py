"""The announcement: one line of an admin that every signed-in person sees until it is dismissed in their browser.

What it does: shows it on pages (open chats get it by the frame `service_status`) and notes in the cookie session that
it was dismissed. It comes from periodic maintenance, so that no page reads the database for it.
What it refuses to know: how it is written (admin/dashboard.py), and where it is stored (store/site_state.py).
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
PUT_AWAY = "put_away"  # in the cookie session: the id of the announcement that was dismissed


def init_app(app: Flask) -> None:
    """Give templates `announcement()`."""
    app.add_template_global(_shown, "announcement")


@blueprint.post("/announcement/put-away")
@signed_in
def put_away() -> Response | tuple[str, int]:
    """Dismiss this announcement in this browser; a new one has another id and is shown."""
    session[PUT_AWAY] = request.form.get("id", "")[:32]
    return ("", 204) if wants_json() else redirect(safe_next_url(request.form.get("back", "")))


def _shown() -> Announcement | None:
    announcement = services().maintenance.site_state.announcement
    is_new = announcement is not None and session.get(PUT_AWAY) != announcement.id
    return announcement if is_new and current_user.is_authenticated else None
