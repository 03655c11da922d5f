"""Fetching from the web: where to (`wall`), how gently (`manners`), and one walk's documents and files (`web`)."""
