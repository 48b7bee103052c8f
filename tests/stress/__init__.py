"""Rounds of a program that does everything at once, and how its own account compares with what was captured."""
