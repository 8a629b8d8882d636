"""Boards with known corners: what they are, how they are found, and printing them."""
