"""Which release this is: asked once, when the code is loaded, of the installation that it was loaded from.

Asked later it would be what is installed by then, or nothing while a `pip install` is half done.
"""

from importlib.metadata import PackageNotFoundError, version


def _release() -> str:
    try:
        return version("ringvisor")
    except PackageNotFoundError:
        return "unknown"


RELEASE = _release()
