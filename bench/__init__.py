"""Measurements of Skylift beside its peers: `make bench`."""
