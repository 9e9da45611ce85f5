"""The progressive web app: the manifest, the service worker and the page that is shown while the server is away.

What it does: all three are the same for everybody and open to strangers, so nothing of anybody can be in a cache. The
worker (static/js/service_worker.js) keeps the offline page of one language with its assets; a new version of the assets
or another language is another address of the worker, so that browsers replace it.
What it refuses to know: accounts; how a browser offers to install (static/js/lib/install.js).
To add a file that the offline page needs: FILES in static/js/service_worker.js; a test compares the two.
"""

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    g,
    jsonify,
    render_template,
    send_from_directory,
    url_for,
)

from web.assets import STATIC
from web.i18n.catalogue import LANGUAGES
from web.i18n.language import gettext, marked

blueprint = Blueprint("installable", __name__)
PAPER = "#f5ecdc"  # --paper in static/css/base.css
ABOUT = marked("Stories by your own fire")
ICONS = (("icon-192.png", 192, "any"), ("icon-512.png", 512, "any"), ("maskable-512.png", 512, "maskable"))


def init_app(app: Flask) -> None:
    """Give templates `service_worker(language)`: the worker's address."""
    version = app.config["ASSET_VERSION"]
    app.add_template_global(
        lambda language: url_for("installable.service_worker", version=version, language=language), "service_worker"
    )


@blueprint.get("/manifest/<locale>")
def manifest(locale: str) -> Response:
    """The web app manifest in one language."""
    _speak(locale)
    response = jsonify(
        id="/",
        name="inglenook",
        short_name="inglenook",
        description=gettext(ABOUT),
        lang=LANGUAGES[locale].tag,
        start_url="/",
        scope="/",
        display="standalone",
        background_color=PAPER,
        theme_color=PAPER,
        icons=[_icon(*icon) for icon in ICONS],
    )
    response.mimetype = "application/manifest+json"
    return response


@blueprint.get("/service-worker.js")
def service_worker() -> Response:
    """The service worker. Its address is at the top, for a worker rules only what lies below its own."""
    return send_from_directory(STATIC, "js/service_worker.js", max_age=0)


@blueprint.get("/offline/<locale>")
def offline(locale: str) -> str:
    """The page that the service worker keeps, in one language, without anybody's name."""
    _speak(locale)
    return render_template("offline.html", for_nobody=True)


def _speak(locale: str) -> None:
    """Answer in this language, whoever asks."""
    if locale not in LANGUAGES:
        abort(404)
    g.language = locale


def _icon(name: str, side: int, purpose: str) -> dict[str, str]:
    source = url_for("assets.file", tag=current_app.config["ASSET_VERSION"], path=f"icons/{name}")
    return {"src": source, "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}
