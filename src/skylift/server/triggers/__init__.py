"""What starts runs by itself: schedules, messages on a queue, files that arrive."""
