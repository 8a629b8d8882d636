"""From recordings of a board to calibrated cameras and a report."""
