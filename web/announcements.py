"""The announcement: one line of an admin that every signed-in person sees until it is dismissed in their browser.

What it does: shows it on pages (open chats get it by the frame `service_status`) and notes in a cookie that it was
dismissed: one of its own, because the answer of a page that was asked for before brings the older session back. It
comes from periodic maintenance, so that no page reads the database for it.
What it refuses to know: how it is written (admin/dashboard.py), and where it is stored (store/site_state.py).
"""

from flask import Blueprint, Flask, current_app, make_response, request
from flask_login import current_user
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from store.site_state import Announcement
from web.auth.accounts import safe_next_url, signed_in
from web.errors import wants_json
from web.services import services

blueprint = Blueprint("announcements", __name__)
COOKIE = "put_away"  # who dismissed which announcement last
LASTS_S = 180 * 86_400


def init_app(app: Flask) -> None:
    """Give templates `announcement()`."""
    app.add_template_global(_shown, "announcement")


@blueprint.post("/announcement/put-away")
@signed_in
def put_away() -> Response:
    """Dismiss this announcement in this browser; a new one has another id and is shown."""
    page = safe_next_url(request.form.get("back", ""))
    answer = make_response("", 204) if wants_json() else redirect(page)
    secure = current_app.session_interface.get_cookie_secure(current_app)
    value = _mark(request.form.get("id", "")[:32])
    answer.set_cookie(COOKIE, value, max_age=LASTS_S, secure=secure, httponly=True, samesite="Lax")
    return answer


def _mark(announcement_id: str) -> str:
    return f"{current_user.view.id}.{announcement_id}"


def _shown() -> Announcement | None:
    announcement = services().maintenance.site_state.announcement
    if announcement is None or not current_user.is_authenticated:
        return None
    return None if request.cookies.get(COOKIE) == _mark(announcement.id) else announcement
