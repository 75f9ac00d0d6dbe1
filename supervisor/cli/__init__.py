"""ringctl, the operator's command: a client of the control protocol and a reader of logs, never part of the daemon."""
