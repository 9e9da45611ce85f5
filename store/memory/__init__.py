"""Long-term memory of a story: notes on messages that have left the context window, and recall of those messages."""
