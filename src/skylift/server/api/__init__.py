"""Skylift's own API: what the remote command line and SDK use, and registered pipelines for everybody's HTTP client."""
