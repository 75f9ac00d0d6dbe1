"""`python -m supervisor`: the same as ringvisord."""

from supervisor.main import ringvisord

if __name__ == "__main__":
    ringvisord()
