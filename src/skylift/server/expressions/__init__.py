"""Expressions of clients, evaluated where they can end nothing but themselves."""
