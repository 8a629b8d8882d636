"""Ready-made presets, found by name: one YAML file each."""
