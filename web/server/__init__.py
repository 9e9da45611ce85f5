"""The HTTP server: gunicorn's configuration and worker class, and the periodic maintenance of a web process."""
