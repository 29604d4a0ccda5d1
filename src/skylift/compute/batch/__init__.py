"""The batch backend: a queue before machines that come with the queue and go with it."""
