"""A procedural world of coloured shapes, digits and words, with an oracle that sees only the picture."""
