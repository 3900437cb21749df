"""Chains of thought: prompts, writers and checks."""
