"""What happens to an errand if the network, the machine or another process fails; nothing is simulated."""
