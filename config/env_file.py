"""An env_file as it is on disk now: at load to see that it is right, at each start for its values."""

from config.dotenv import parse_dotenv
from config.errors import Problem
from config.text_file import TextFileError, read_text


def read_env_file(path: str) -> tuple[dict[str, str], list[Problem]]:
    try:
        parsed = parse_dotenv(read_text(path))
    except TextFileError as failure:
        return {}, [Problem(path, failure.line, "env_file", str(failure))]
    return parsed.values, [Problem(path, error.line, "env_file", error.message) for error in parsed.errors]
