"""The store: the database (SQL) and the broker (Redis) that web and worker share.

It imports neither web, worker nor engine. Start reading at `models.py` (the tables), `turns/lifecycle.py` (the life of
a turn), `broker/events.py` (what browsers receive) and `broker/queue.py` (how turns reach a worker).
"""
