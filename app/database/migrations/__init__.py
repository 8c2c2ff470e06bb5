"""Alembic's scripts: `env.py` and the revisions. Run by `app.database.migrate`."""
