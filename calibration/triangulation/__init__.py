"""Points of the world from pixels of several cameras, with covariance."""
