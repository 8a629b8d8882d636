"""Bundle adjustment: cameras and what they look at, fitted to all pixels at once."""
