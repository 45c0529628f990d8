"""What runs where, what could move, and how often and how well it did."""
