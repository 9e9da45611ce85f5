"""Introductions: who the person is in a chat, changed in the middle of it without the chat being read again.

What it does: the pinned beginning of a prompt names the person and says who they are. Where a chat was played already,
a change leaves that as it is: `chats.introduced` keeps as whom the beginning knows the person ({"name", "about"}), and
`since`: the ordinal from which on they are who they are now. The worker tells it there (worker/prompt/introduction.py).
What it refuses to know: prompts, and personas (a chat has a copy of what it took from one).
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.models import Chat, Message


def introduce(session: Session, chat: Chat, name: str, about: str) -> None:
    """From the next message on the person of the chat is this one."""
    if (name, about) == (chat.user_name, chat.user_persona):
        return
    before = chat.introduced or {"name": chat.user_name, "about": chat.user_persona}
    last = session.scalar(select(func.max(Message.ordinal)).where(Message.chat_id == chat.id)) or 0
    as_before = (name, about) == (before["name"], before["about"])
    chat.introduced = {**before, "since": last + 1} if last and not as_before else {}
    chat.user_name, chat.user_persona = name, about


def for_branch(introduced: dict[str, object], ordinal: int) -> dict[str, object]:
    """The same for a branch that ends with the message of this ordinal: what was later comes at its end."""
    since = introduced.get("since")
    return {**introduced, "since": min(since, ordinal + 1)} if isinstance(since, int) else {}
