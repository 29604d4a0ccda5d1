"""Attempts in containers, through podman or docker: each in one of its own, which goes with it."""
