"""TestState: one state run by the real transition function, with what happened inside it. Pure: what a Task answers and
what an ItemReader reads comes from callables."""
