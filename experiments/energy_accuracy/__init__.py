"""How wrong each meter is on traces of known energy, and what metering costs."""
