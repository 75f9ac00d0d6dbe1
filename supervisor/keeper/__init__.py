"""The keeper: forks, reaps, holds fds, and decides nothing."""
