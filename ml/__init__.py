"""Numbers in, numbers out: events, features, models, forecasts, decisions, drift."""
