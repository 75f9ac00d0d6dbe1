"""ringvisor as a service of systemd: its units, rendered from facts and written where systemd looks."""
