"""The application factory: builds the Flask app from its services, extensions and blueprints.

To add a page: a view in the module of the room that it is about (stories, characters, lorebooks, auth, admin), with
`@signed_in` or `@admin_only` (web/auth/accounts.py) below its route; a new module has a blueprint, which comes into
BLUEPRINTS here. Its template in templates/ extends base.html; a script goes into static/js/pages, styles into
css/pages.css. Then its line in ROUTES of tests/web/test_access.py (what is no HTML page also in NOT_PAGES of
test_language.py), and `make words` with the translations.
"""

from flask import Flask, g, redirect, request, session, url_for
from flask_login import LoginManager
from flask_wtf.csrf import CSRFProtect
from redis import Redis
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from store.db import Database
from store.settings import Settings
from store.sign_ins import find_signed_in
from web import announcements, assets, errors, health, installable, notices, security, uploads
from web.admin import dashboard, metrics, model_page, people
from web.auth import account_settings, accounts, password_resets, rate_limits, session_cookie
from web.characters import card_files, character_page, pictures
from web.i18n import language
from web.live import routes as live
from web.lorebooks import lorebook_page
from web.rendering import amounts
from web.services import Services, build_services
from web.sharing import share_pages
from web.stories import chat_files, chat_page, home, personas, search_page

BLUEPRINTS = (
    accounts.blueprint,
    account_settings.blueprint,
    people.blueprint,
    dashboard.blueprint,
    model_page.blueprint,
    announcements.blueprint,
    password_resets.blueprint,
    personas.blueprint,
    home.blueprint,
    card_files.blueprint,
    character_page.blueprint,
    lorebook_page.blueprint,
    share_pages.blueprint,
    pictures.blueprint,
    chat_page.blueprint,
    chat_files.blueprint,
    search_page.blueprint,
    health.blueprint,
    installable.blueprint,
    metrics.blueprint,
)
MAX_FORM_BYTES = 256 * 1024


def create_app(settings: Settings, database: Database, redis: Redis) -> Flask:
    """A Flask application on a migrated database. The caller starts its `Services` (app.extensions["inglenook"])."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=settings.read_secret_key(),
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        WTF_CSRF_TIME_LIMIT=None,  # a form may stay open for days; the token is bound to the session
        SOCK_SERVER_OPTIONS=live.SOCKET_OPTIONS,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
    )
    if hops := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    services = build_services(settings, database, redis)
    app.extensions["inglenook"] = services
    security.init_app(app, settings.origins)
    errors.init_app(app)
    uploads.init_app(app)  # before everything that reads a form
    rate_limits.init_app(app, settings)
    assets.init_app(app)
    installable.init_app(app)
    language.init_app(app)
    notices.init_app(app)
    amounts.init_app(app)
    announcements.init_app(app)
    dashboard.init_app(app)
    model_page.init_app(app)
    card_files.init_app(app)
    chat_files.init_app(app)
    lorebook_page.init_app(app)
    share_pages.init_app(app)
    character_page.init_app(app)  # before the check of the token, which reads the form
    personas.init_app(app)
    security.refuse_nameless_fields(app)
    CSRFProtect(app)
    _sign_in(app, services)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    live.init_app(app)
    app.context_processor(lambda: {"trouble": services.maintenance.trouble, "change_s": services.maintenance.change_s})
    return app


def _sign_in(app: Flask, services: Services) -> None:
    manager = LoginManager(app)

    def _load(key: str) -> accounts.SignedIn | None:
        if "database_lost" in g:
            return None  # the error page of a lost database is shown without an account
        user_id, _, epoch = key.partition(":")
        if not epoch.isdecimal():
            return None
        try:
            user = find_signed_in(services.database, user_id, int(epoch), session_cookie.key_of(session))
        except SQLAlchemyError:
            g.database_lost = True
            raise
        return accounts.SignedIn(user) if user else None

    manager.user_loader(_load)

    @manager.unauthorized_handler  # type: ignore[untyped-decorator]
    def _ask_to_sign_in() -> Response:
        if errors.wants_json():
            raise errors.Problem(401, "signed_out", language.gettext("Sign in first."))
        return redirect(url_for("accounts.login", next=request.full_path.rstrip("?")))

    @app.before_request
    def _lasting() -> None:
        session.permanent = True
