"""Real WireGuard between network namespaces: `lab` builds them, `publisher` is on the internet side. Needs root."""
