"""Links for people: with which address of this machine they begin, who can open them, and their QR codes."""
