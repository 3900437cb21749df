"""Speed of C²SER compared with other implementations, measured in one process; docs/benchmarks.md has the rules."""
