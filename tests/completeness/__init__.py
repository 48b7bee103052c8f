"""How much of what real programs do is captured, by the account of an independent witness."""
