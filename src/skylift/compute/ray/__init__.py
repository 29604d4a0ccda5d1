"""Attempts on a Ray cluster: one that exists, or one that is started here."""
