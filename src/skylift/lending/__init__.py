"""Lending a machine: workers that ask a Skylift server, or AWS, for an activity's tasks."""
