"""How the schemas of the inbox and the lake change: by expand and contract, under a lock, apart from serving.

docs/schema-changes.md says how to add a step. `versions/` holds the inbox's, in Alembic's form; the lake's
are the columns of `ml.columns` that a table does not have yet.
"""
