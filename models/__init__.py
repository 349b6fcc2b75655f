"""Learning: labels, walk-forward splits, training, honest scores and signed model files."""
