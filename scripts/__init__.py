"""Command lines and what they are made of: promotion, the local forge, the demo."""
