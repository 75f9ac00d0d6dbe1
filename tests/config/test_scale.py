"""A fleet of a thousand sessions, written out one by one: prints how long it takes to load."""

import time
from pathlib import Path

from tests.config.support import load_text

ONE = """
[session.s{i}]
command = ["python3", "serve.py", "--port", "{i}"]
cwd = "/srv/{{name}}"
env = {{ MODE = "prod", NUMBER = "{i}" }}
tags = ["web", "t{i}"]
restart = {{ policy = "always", delay = "2s" }}
limits = {{ memory_max = "512M", cpu = "50%", pids = 64 }}
depends_on = {{ s0 = "ready" }}
[[session.s{i}.health]]
type = "http"
url = "http://127.0.0.1:80{i}/health"
"""


def test_a_thousand_sessions(tmp_path: Path) -> None:
    """All arrive; the time is printed (`pytest -s`), not judged."""
    text = "".join(ONE.format(i=i) for i in range(1000)).replace('depends_on = { s0 = "ready" }\n', "", 1)
    started = time.perf_counter()
    loaded = load_text(tmp_path, text)
    print(f"\n1000 sessions, {text.count(chr(10))} lines: {time.perf_counter() - started:.3f} s")
    assert len(loaded.fleet.sessions) == 1000
    assert loaded.fleet.sessions["s999"].cwd == "/srv/s999"
