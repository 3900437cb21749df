"""The paper's tables and figures as one page: what is printed, ours beside it, known errors as notes."""
