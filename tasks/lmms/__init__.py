"""lmms-eval's tasks as ours: ``lmms:NAME`` is any of them, and those of the papers' tables have names of their own.

What a task asks, how it judges and how it sums up is lmms-eval's own code, called where this harness has the same step.
lmms-eval takes many seconds to import, so that only what needs its code does: ``definitions`` reads its files as text.
"""
