"""From an image to the exact corners of the squares in it."""
