"""The server beside moto's, by the same raw HTTP client: executions, transitions, latencies, memory."""
