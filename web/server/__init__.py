"""The HTTP server: gunicorn's configuration and worker class, and the housekeeping thread of a web process."""
