"""Which offer each step of a run should use: the least expected cost to finish, under a deadline and a budget. Pure."""
