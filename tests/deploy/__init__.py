"""What `deploy/` promises without a container tool; with one: `tests.containers`."""
