"""The preview of a story's openings: all greetings of a card, as one persona would read them.

What it does: `openings_of` gives the HTML of the greetings that a new chat would have, in the same order, with the
name and the description of a persona in their macros. Dice and clock may give other values when the chat begins.
What it refuses to know: the page around it (character_page.py, templates/_openings.html).
"""

import functools
from dataclasses import replace

from store import chat_macros, greetings, macros, personas, texts
from store.views import CharacterView, PersonaView
from web.auth.accounts import me
from web.rendering.prose import RenderBudget, render
from web.services import services

MAX_OPENINGS = 30


def openings_of(character: CharacterView, name: str, persona: PersonaView | None) -> tuple[str, ...]:
    """The greetings as HTML, the first MAX_OPENINGS of them; `name` is what the characters call the person."""
    char = chat_macros.display_name(character.name, character.card)
    about = texts.clean(persona.description).strip() if persona else ""
    context = macros.MacroContext(seed=character.id, budget=macros.MacroBudget())
    known = chat_macros.card_macros(character.card, char, name, context) | {"persona": str, "input": str}
    resolve = functools.partial(macros.resolve, char=char, user=name)
    me_in_it = resolve(about, context=replace(context, texts=known))
    context = replace(context, texts={**known, "persona": lambda: me_in_it})
    budget = RenderBudget()
    said = greetings.resolved(functools.partial(resolve, context=context), character.card)
    return tuple(render(greeting, budget) for greeting in said[:MAX_OPENINGS])


def persona_of(persona_id: str | None) -> PersonaView | None:
    """The persona of the person with this id; None without one. Raises NotFound, also for another person's."""
    return personas.get_persona(services().database, me().id, persona_id) if persona_id else None
