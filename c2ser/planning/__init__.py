"""What a training will need, before it is started: memory, operations, time, from models without weights."""
