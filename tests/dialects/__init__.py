"""Other people's job APIs, spoken through declarations and tried against servers that nobody here wrote."""
