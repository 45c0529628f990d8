"""Proposals: opening promotions and rollbacks, and the text that their reviewers read."""
