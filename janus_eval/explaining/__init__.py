"""Why a number differs: a run judged again with one knob turned at a time, and the gap to another number taken apart.

Nothing here asks a model or an instrument, and nothing is written into a run folder.
"""
