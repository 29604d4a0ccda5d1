"""The eight state types, compiled: each knows how to begin, what it waits for and how it goes on."""
