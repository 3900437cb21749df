"""Other systems that answer for the same utterances, so that their scores stand beside those of C²SER."""
