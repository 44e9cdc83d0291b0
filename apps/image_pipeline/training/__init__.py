"""Learning the classifier: needs PyTorch, which serving does not."""
