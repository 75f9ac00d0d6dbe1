"""The supervisor's process: it decides what runs, and has neither children nor bytes of its own."""
