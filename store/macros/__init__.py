"""Macro expansion for the texts of cards and people: {{char}}, {{random::tea::coffee}}, {{time}} ...

Start at resolver.py; chat_macros.py (one folder up) has the macros that need a chat.
"""

from store.macros.resolver import MacroBudget, MacroContext, may_be_in, resolve

__all__ = ["MacroBudget", "MacroContext", "may_be_in", "resolve"]
