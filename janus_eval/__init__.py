"""Evaluate unified multimodal models: every knob pinned, every number with its uncertainty."""
