"""What Git knows: commits, releases that came and went, evidence as it was written."""
