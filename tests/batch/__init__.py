"""Batches: many errands of one service, and their journal."""
