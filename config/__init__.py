"""What the user wants, as frozen data. This package opens files only to read them, and knows nothing of processes.

    loaded = load("ringvisor.toml")      a Fleet, or ConfigErrors with everything that is wrong
    plan = diff(running, loaded.fleet)   what to do about it

The model is in `config.model`. Imported where needed: `config.schema` (JSON Schema), `config.example` (what
`ringvisord init` writes), `config.environment` and `config.accounts` (a session's environment and user, at each start).
"""

from config.diff import KeyChange, Plan, SessionChange, diff
from config.errors import ConfigErrors, Problem
from config.load import Loaded, find_config, load, load_settings, surroundings
from config.locations import Surroundings, runtime_bases
from config.model import Fleet, SessionSpec
from config.tables import Applied

__all__ = [
    "Applied",
    "ConfigErrors",
    "Fleet",
    "KeyChange",
    "Loaded",
    "Plan",
    "Problem",
    "SessionChange",
    "SessionSpec",
    "Surroundings",
    "diff",
    "find_config",
    "load",
    "load_settings",
    "runtime_bases",
    "surroundings",
]
