"""What past decisions would have earned: forecasts replayed with the outcomes that came."""
