"""From answers to figures: reading labels, metrics, tables and pictures."""
