"""What is still known after a crash: faults of every kind, and the database held against the programs' own account."""
