"""The store: the records (SQL) and the wire (Redis) that web and worker share.

It imports neither web, worker nor engine. Start reading at `models.py` (what is kept), `turns/lifecycle.py` (the life
of one piece of work), `broker/events.py` (what browsers hear) and `broker/queue.py` (how work reaches a worker).
"""
