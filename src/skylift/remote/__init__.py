"""Runs on a server, seen from here: journal, artifacts and logs over HTTP, so that all faces work unchanged."""
