"""Asking a language model by text: one protocol, and three ways to reach the model."""
