"""The drivers and what they drive with: clocks, connections and the disk. No decision about an errand is made here."""
