"""Journal, resources and leases in a PostgreSQL database. Needs the extra `postgres`."""
