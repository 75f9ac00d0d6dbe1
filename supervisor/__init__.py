"""The keeper, which owns every process of a fleet, and the supervisor, which decides about them."""
