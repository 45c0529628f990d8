"""What a cluster runs, beside what Git says that it should."""
