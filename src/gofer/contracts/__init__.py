"""What services' requests and replies look like: pure functions from values to values, no I/O, no clock."""
