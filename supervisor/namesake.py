"""PyPI's `supervisor`, Supervisor of old, has a package of the same name.

Installed into the same environment the two share a directory, whichever is upgraded or removed next takes files of the
other with it, and nobody is told.
"""

from importlib import metadata


def namesake_warning() -> str | None:
    try:
        version = metadata.version("supervisor")
    except metadata.PackageNotFoundError:
        return None
    return (
        f"PyPI's supervisor {version} is installed in this environment too, and both have a package of that name: "
        "give ringvisor a virtual environment of its own"
    )
