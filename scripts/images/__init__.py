"""Container images: what they are made of, and which bytes a tag names."""
