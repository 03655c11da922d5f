"""The pure core: flows that yield commands and are sent answers.

It opens nothing, never sleeps, reads no clock and draws no random number of its own.
"""
