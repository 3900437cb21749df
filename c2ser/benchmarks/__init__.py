"""Speed against named peers, in one process, by rules that make a figure worth quoting."""
