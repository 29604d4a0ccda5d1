"""Checkpoints: state that outlives the machine it was made on. `skylift.checkpoint` is what users see of it."""
