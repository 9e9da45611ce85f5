"""Message broker: everything that is kept in Redis. A copy of what SQL has, or a hint: it may be lost at any moment."""
