"""Where everybody is in 3D."""
