"""The three stages of Janus-Pro's training, and one before them for the image tokenizer, as recipes in data."""
