"""Acoustic attributes of an utterance (section III.C, step 1) and their levels (step 2)."""
