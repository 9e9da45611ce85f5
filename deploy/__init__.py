"""Deployment: set-up, pre-flight checks, the supervisor, the containers' entry points, and the command `inglenook`.

Not one of the four rooms: nothing imports it, and it may import `store` only. cli/ imports the modules here, never the
other way round.
"""
