"""Data that is bigger than a machine: sources cut into blocks of whole records, fetched in parallel, kept near."""
