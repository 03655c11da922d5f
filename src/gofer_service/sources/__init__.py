"""Places where papers are found: one module per source, and `base` for what they share."""
