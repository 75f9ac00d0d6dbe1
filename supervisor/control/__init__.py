"""The control protocol: what ringctl and every other client say to the supervisor, and the two ends of the line."""
