"""What a pull request has to pass before it may be merged."""
