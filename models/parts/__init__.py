"""Small parts that more than one family uses. A family's own architecture stands in its own file."""
