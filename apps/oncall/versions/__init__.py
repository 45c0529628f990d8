"""Migrations of the on-call service's database, oldest first; docs/schema-changes.md says how they are made."""
