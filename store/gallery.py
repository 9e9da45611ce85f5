"""Who may see which picture: a picture is shown to whoever may see the character that has it.

What it refuses to know: the bytes (pictures.py) and the rule itself (characters.py).
"""

from sqlalchemy import select

from store.characters import visible
from store.db import Database
from store.errors import NotFound
from store.models import Character, Picture
from store.pictures import PREFIX
from store.views import PictureView, UserView, picture_view


def get_picture_for(db: Database, user: UserView, picture_id: str) -> PictureView:
    """One picture. Raises NotFound, also when this person may not see its character."""
    with db.reading() as session:
        picture = session.get(Picture, picture_id)
        owners = session.scalars(select(Character).where(Character.avatar == f"{PREFIX}{picture_id}"))
        if picture is None or not any(visible(character, user) for character in owners):
            raise NotFound("picture")
        return picture_view(picture)
