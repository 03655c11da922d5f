"""Conversations with the contract server, replayed by the blocking and the awaited client alike."""
