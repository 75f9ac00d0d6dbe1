"""The commented fleet file that `ringvisord init` writes. It loads as it stands."""

from pathlib import Path
from typing import Final

EXAMPLE: Final = Path(__file__).with_name("example.toml").read_text(encoding="utf-8")
