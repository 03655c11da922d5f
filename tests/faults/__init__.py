"""What happens to an errand when the network, the machine or another process misbehaves; all of it real."""
