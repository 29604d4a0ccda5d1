"""Checks of a States Language document, one file a part of the language; `asl.parse` runs them all."""
