"""The readers of what others may write, fed with anything: `make fuzz`."""
