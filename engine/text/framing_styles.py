"""Framing styles: how a prompt says who speaks, by roles, by names in the place of roles, or as a script. Pure.

    auto      names as roles where models are known to take them, else `prefix`; a script without a chat template
    roles     names as roles in every template that writes any role out
    prefix    the template's own roles, and `Name: ` before a text
    script    no template: each message is a line `Name: text`, as base models have read in books and plays

To add a family that takes names as roles: what its headers begin with, in `_NAMED_ROLES`, and a source for it.
What it refuses to know: tokens, how a template is split (chat_template.py).
"""

from typing import Literal

from engine.text.chat_template import MessageFrame, TemplateFrames

FramingStyle = Literal["auto", "roles", "prefix", "script"]

_NAMED_ROLES = ("<|im_start|>", "<|start_header_id|>")
"""ChatML and Llama 3: people have written role-play with names there for years (SillyTavern has presets for both).
Elsewhere a role that the model was never trained on can mean anything: Kimi reads it where the system speaks."""

SCRIPT = TemplateFrames(
    system=MessageFrame("", "\n\n", trims=True),
    note=MessageFrame("[", "]\n", trims=True),
    user=MessageFrame("", "\n", trims=True),
    assistant=MessageFrame("", "\n", trims=True),
)
SCRIPT_NAMES = {"user": "User", "character": "Assistant", "narrator": "Narrator"}
"""Who speaks in a script where no name is given; and the names at which a reply ends that the model may make up."""


def names_as_roles(frames: TemplateFrames, style: FramingStyle) -> bool:
    """Whether names stand in the place of roles."""
    if frames.named is None or style not in ("auto", "roles"):
        return False
    return style == "roles" or frames.named.before.endswith(_NAMED_ROLES)
