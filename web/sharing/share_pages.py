"""The forms of sharing: with whom a character or a lorebook is shared, and wishes for characters.

What it does: `share_form` gives the pages of a character and of a lorebook their form; a refused one keeps what was
ticked. Wishes stand on the home page: children and teens ask there, adults answer there.
What it refuses to know: who may see what (store/visibility.py), and the pages around the forms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, redirect, request, url_for
from werkzeug.wrappers import Response

from store import characters
from store.errors import Refused
from store.lore import books
from store.sharing import shares, wishes
from store.sharing.shares import Sharing
from store.sharing.wishes import WishView
from store.views import CharacterView, UserView
from store.visibility import ADULTS, AUDIENCES, allowed_ratings
from web import notices
from web.auth.accounts import Page, me, signed_in
from web.characters.character_page import character_page
from web.i18n.language import error_sentence
from web.lorebooks.lorebook_page import lorebook_page
from web.services import services

blueprint = Blueprint("sharing", __name__)


@dataclass(frozen=True)
class ShareForm:
    """The values of the form: what is chosen, whom one may choose, and what is wrong."""

    sharing: Sharing
    readers: tuple[UserView, ...]
    rating: str
    ratings: tuple[str, ...]
    for_house: bool
    wrong: str = ""

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the people with whom it is shared."""
        return tuple(one.name for one in self.readers if one.id in self.sharing.people)

    @property
    def too_young(self) -> tuple[str, ...]:
        """The ids of those who do not see it, whatever is chosen: it is not for their age."""
        return tuple(one.id for one in self.readers if self.rating not in allowed_ratings(one.role))

    @property
    def kept_from(self) -> tuple[str, ...]:
        """The names of those among the chosen who do not see it because of their age."""
        chosen = self.sharing.people if self.sharing.audience == "people" else {one.id for one in self.readers}
        return tuple(one.name for one in self.readers if one.id in self.too_young and one.id in chosen)


def init_app(app: Flask) -> None:
    """Give templates `share_form(kind, thing)`, the form of a thing of the person, and the wishes of the home page."""
    app.add_template_global(share_form, "share_form")
    app.add_template_global(wishes_to_answer, "wishes_to_answer")
    app.add_template_global(own_wishes, "own_wishes")
    app.add_template_global(lambda: me().role in ADULTS, "is_grown_up")
    app.add_template_global(lambda: wishes.MAX_TEXT, "max_wish")
    app.add_template_global(_names_of_owners, "names_of_owners")


def share_form(kind: str, thing: Any, refused: tuple[Sharing, str, str] | None = None) -> ShareForm:
    """The form for a character or a lorebook of the person; `refused`: what they chose, the rating if the form has one,
    what is wrong."""
    database, person = services().database, me()
    sharing, rating, wrong = refused or (shares.read(database, person.id, kind, thing.id), thing.rating, "")
    readers, ratings = shares.readers(database, person), allowed_ratings(person.role)
    return ShareForm(sharing, readers, rating or thing.rating, ratings, person.role in ADULTS, wrong)


@blueprint.post("/characters/<character_id>/share")
@signed_in
def share_character(character_id: str) -> Page:
    """Share a character of the person with exactly those who are chosen."""
    refused = _share("character", character_id)
    if refused is None:
        return redirect(url_for("characters.show", character_id=character_id, _anchor="share"))
    return character_page(characters.get_character(services().database, me(), character_id), refused=refused), 422


@blueprint.post("/books/<lorebook_id>/share")
@signed_in
def share_lorebook(lorebook_id: str) -> Page:
    """Share a lorebook of the person with exactly those who are chosen."""
    refused = _share("lorebook", lorebook_id)
    if refused is None:
        return redirect(url_for("lorebooks.show", lorebook_id=lorebook_id, _anchor="share"))
    return lorebook_page(books.get_book(services().database, me().id, lorebook_id).id, refused), 422


@blueprint.post("/wishes")
@signed_in
def ask() -> Response:
    """Ask for a character."""
    return _answer(lambda: wishes.ask(services().database, me(), request.form.get("text", "")), "asked")


@blueprint.post("/wishes/<wish_id>/take-back")
@signed_in
def take_back(wish_id: str) -> Response:
    """Take an own wish back, or put its answer away."""
    wishes.take_back(services().database, me(), wish_id)
    return redirect(url_for("home.show"))


@blueprint.post("/wishes/<wish_id>/grant")
@signed_in
def grant(wish_id: str) -> Response:
    """Share an own character with who asked for one."""
    chosen = request.form.get("character", "")
    return _answer(lambda: wishes.grant(services().database, me(), wish_id, chosen), "granted")


@blueprint.post("/wishes/<wish_id>/decline")
@signed_in
def decline(wish_id: str) -> Response:
    """Say no to a wish."""
    return _answer(lambda: wishes.decline(services().database, me(), wish_id), "declined")


def wishes_to_answer() -> list[tuple[WishView, tuple[CharacterView, ...]]]:
    """What children and teens ask for, each with the characters of this adult that may be given."""
    waiting = wishes.list_open(services().database, me())
    own = characters.list_own(services().database, me()) if waiting else ()
    return [(wish, wishes.grantable(own, wish)) for wish in waiting]


def own_wishes() -> tuple[WishView, ...]:
    """What this child or teen asked for."""
    return () if me().role in ADULTS else wishes.list_own(services().database, me())


def _share(kind: str, thing_id: str) -> tuple[Sharing, str, str] | None:
    """Save the form; what was chosen, the rating and the sentence where it is refused."""
    form = request.form
    audience, people, rating = form.get("audience", ""), form.getlist("person"), form.get("rating")
    try:
        shares.share(services().database, me(), kind, thing_id, audience, people, rating)
        notices.done("shared" if audience != "private" else "private")
        return None
    except Refused as refusal:
        shown = audience if audience in AUDIENCES else "private"
        return Sharing(shown, frozenset(people)), rating or "", error_sentence(refusal)


def _answer(act: Any, code: str) -> Response:
    """Do something and go to the home page, which says that it is done or why not."""
    try:
        act()
        notices.done(code)
    except Refused as refusal:
        notices.refused(refusal)
    return redirect(url_for("home.show"))


def _names_of_owners(things: Sequence[Any]) -> Mapping[str, str]:
    """The names of the other people to whom these characters or lorebooks belong, by their ids."""
    return shares.names(services().database, (one.owner_id for one in things if one.owner_id != me().id))
