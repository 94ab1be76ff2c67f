"""Pictures of text, for probes of reading and writing: open fonts, English and Chinese, any size, angle and contrast.

``render.render`` draws one text; ``samples.samples`` makes the seeded grid of them that ``ocr-read`` asks about, which
other tasks can use for its pictures; ``prompts.samples`` the prompts of ``ocr-write``. See docs/text-images.md.
"""
