"""Newer prices: a snapshot of a provider's public price files, read as a stream and checked like the shipped ones."""
