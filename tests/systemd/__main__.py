"""`python -m tests.systemd [PYTEST ARGUMENTS]`, as root: ringvisor as a service, in a Debian that is booted for it."""

import os
import sys
from pathlib import Path

import pytest

from tests.systemd.machine import RELEASES, WANTED, debian_root, why_not

if __name__ == "__main__":
    os.environ[WANTED] = "1"
    if not why_not():
        for release in RELEASES:
            print(f"{debian_root(release)}: made by debootstrap, once", flush=True)
    options = ["--timeout=200", "-o", "faulthandler_timeout=0"]
    sys.exit(pytest.main([str(Path(__file__).parent), *options, *sys.argv[1:]]))
