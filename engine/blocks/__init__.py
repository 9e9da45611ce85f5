"""Block store: the saved KV bytes of single segments, in a RAM tier over a disk tier."""
