"""Rendering: from texts and numbers to what pages show: safe HTML, amounts, import reports."""
