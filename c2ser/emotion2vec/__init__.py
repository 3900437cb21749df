"""Emotion2Vec-S: data2vec 2.0 for emotional speech, with a category-level contrastive loss (section III.B)."""
