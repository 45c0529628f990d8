"""The console: what runs, why, how well, and what it says of each product; pages for people."""
