"""The application as it was."""

from apps.host import routes

app = routes()
