"""A cloud in virtual time: start-up, quotas, prices, limits and spot markets, with the user's own functions in it."""
