"""JanusFlow (arXiv 2411.07975): reads as Janus does, draws by rectified flow inside the language model."""
