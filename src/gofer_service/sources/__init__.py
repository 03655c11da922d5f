"""Sources: where papers are found. One module for each source; `base` has what they share."""
