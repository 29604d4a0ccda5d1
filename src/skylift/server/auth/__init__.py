"""Who asks: keys, their secrets, and the check of every request's signature."""
