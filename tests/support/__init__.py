"""What several test folders share: worlds without I/O, servers that misbehave."""
