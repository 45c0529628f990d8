"""Copies of the inbox, the registry, the model store and the lake, and the way back."""
