"""What starts inglenook on a machine: set-up, checks, the supervisor, the containers' entry points.

Not one of the four rooms: nothing imports it, and it may import `store` only.
"""
