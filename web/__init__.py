"""The room that people see: pages, forms and web sockets. It knows HTTP and the store, never an engine or a worker."""

from web.app import create_app

__all__ = ["create_app"]
