"""The forecast service: answers from the newest snapshot of one model, or live for a history it is sent."""
