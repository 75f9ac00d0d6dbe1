"""`python -m tests.systemd [PYTEST ARGUMENTS]`, as root: ringvisor as a service, in a Debian that is booted for it."""

import os
import sys
from pathlib import Path

import pytest

from tests.systemd.machine import WANTED

if __name__ == "__main__":
    os.environ[WANTED] = "1"
    sys.exit(pytest.main([str(Path(__file__).parent), "--timeout=300", *sys.argv[1:]]))
