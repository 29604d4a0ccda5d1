"""Batch jobs, ECS tasks and training jobs of a definition, run here: what `[jobs]` binds them to."""
