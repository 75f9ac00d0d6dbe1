"""Is the installed code whole? Each of its files is what the installation's RECORD says, and each of its modules loads.

A `pip install` that is half done leaves files of two releases side by side, which may load and still not fit.
"""

import base64
import hashlib
import importlib
import pkgutil
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution

OUR_PACKAGES = ("config", "ipc", "childproc", "supervisor")
_NOT_TO_BE_LOADED = ("__main__",)


def damaged_files(name: str = "ringvisor") -> list[str]:
    """Relative to where it is installed. An editable installation lists none of our files."""
    try:
        found: Distribution = distribution(name)
    except PackageNotFoundError:
        return [f"no distribution {name} is installed"]
    return [str(path) for path in found.files or () if not _is_as_recorded(path)]


def _is_as_recorded(path: PackagePath) -> bool:
    if path.hash is None or path.parts[0] not in OUR_PACKAGES:
        return True
    try:
        with open(path.locate(), "rb") as file:
            digest = hashlib.file_digest(file, path.hash.mode).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == path.hash.value


def load_everything() -> int:
    """Raises what the first module that does not load raises. How many they are."""
    count = 0
    for package in OUR_PACKAGES:
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if module.name.rpartition(".")[2] not in _NOT_TO_BE_LOADED:
                importlib.import_module(module.name)
                count += 1
    return count
