"""The parts of the page that `app.py` puts together."""

QUIET = {"show_progress": "hidden", "api_visibility": "private"}  # of what only the page asks for
