"""Macro expansion for the texts of cards and people: {{char}}, {{random::tea::coffee}}, {{time}} ...

Start at resolver.py; chat_macros.py (one folder up) has the macros that need a chat.
"""

from store.macros.resolver import MacroContext, may_be_in, resolve

__all__ = ["MacroContext", "may_be_in", "resolve"]
