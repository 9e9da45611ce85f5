"""Character pages: the editor, card files in and out, pictures."""
