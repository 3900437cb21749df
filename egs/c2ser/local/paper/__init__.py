"""One page with the paper's tables and figures: its values, our values beside them, known errors as notes."""
