"""The training loop, its schedules and checkpoints, and what is trained with them."""
