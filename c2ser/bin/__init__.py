"""Entry points, one small file each: parse, call, write."""
