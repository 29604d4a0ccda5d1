"""The small program that runs attempts anywhere. It knows values and ports, nothing above."""
