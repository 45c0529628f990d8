"""The decision service: from a forecast and a shop's numbers to stock, advertising and risk."""
