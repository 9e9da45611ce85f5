"""Macro expansion for the texts of cards and people: {{char}}, {{random::tea::coffee}}, {{time}} ..."""

from store.macros.resolver import MacroContext, may_be_in, resolve

__all__ = ["MacroContext", "may_be_in", "resolve"]
