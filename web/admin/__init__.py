"""Admin pages: the dashboard, the people of the installation, and metrics for Prometheus."""
