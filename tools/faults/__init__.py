"""The catalogue of faults: bad inputs, canaries and injected faults, each a row; tools/run_faults.py runs them."""
