"""What models are fed with: batches, archives, data sets."""
