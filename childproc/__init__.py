"""What runs between fork and exec of a session's program, and the session's worker."""
