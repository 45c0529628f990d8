"""The folders of `environments` and what they render to."""
