"""When to hold a spot machine for one job with a deadline: recorded markets, a simulator, the policies, the optimum."""
