"""C²SER: speech emotion recognition through contextual perception and chains of thought."""

__version__ = "0.1.0"
