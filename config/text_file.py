"""Reads a text that a user wrote, and says what hinders it: not there, not readable, no UTF-8, no end."""

import os
import stat

MAX_TEXT_BYTES = 16 * 1024 * 1024


class TextFileError(Exception):
    def __init__(self, message: str, line: int = 0) -> None:
        self.line = line
        super().__init__(message)


def read_text(path: str) -> str:
    """Raises TextFileError. A pipe is read as well: `-c <(…)` is one."""
    try:
        with open(path, "rb") as file:
            if stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and not file.isatty():
                raise TextFileError("is a device, not a file")
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as failure:
        raise TextFileError(f"cannot be read: {failure.strerror}") from failure
    if len(content) > MAX_TEXT_BYTES:
        raise TextFileError(f"is no configuration: more than {MAX_TEXT_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise TextFileError(f"is not UTF-8: byte 0x{content[wrong.start]:02x}", line) from wrong
