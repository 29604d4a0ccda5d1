"""What a run will cost and take, before it starts: the pipeline's graph, the history, the offers, put together."""
