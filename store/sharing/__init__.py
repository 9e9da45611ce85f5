"""Sharing: which characters and lorebooks a person lets others use, what others ask for, and what stays with whom."""
