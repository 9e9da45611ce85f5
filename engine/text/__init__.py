"""Text at the edges of the engine: chat templates on the way in, detokenizing and reasoning filters on the way out."""
