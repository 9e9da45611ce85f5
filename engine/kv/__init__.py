"""KV sessions: which segments each chat holds in the cells, and the cheapest way from there to what a turn wants."""
