"""Bridges to other harnesses and other systems: each file stands alone and is imported when it is used."""
