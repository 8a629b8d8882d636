"""By how many frames cameras are apart."""
