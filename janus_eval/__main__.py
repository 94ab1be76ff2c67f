"""``janus-eval`` and ``python -m janus_eval``."""

from __future__ import annotations

from janus_eval.cli.app import main

if __name__ == "__main__":
    main()
