"""C²SER: perception encoders, connector and language model."""
