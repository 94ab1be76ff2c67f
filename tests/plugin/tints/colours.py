"""What all parts know."""

from __future__ import annotations

TINTS = {"rose": (255, 150, 180), "mint": (150, 255, 190), "sky": (150, 200, 255)}
