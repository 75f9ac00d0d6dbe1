"""prompt"""

from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator


def run_prompt(operator: Operator) -> Exit:
    return Exit.DONE
