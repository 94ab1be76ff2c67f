"""DPG-Bench's visual question answerer: mPLUG-large, fine-tuned on VQA v2, from ModelScope's published checkpoint."""
