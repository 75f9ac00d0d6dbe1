"""Upgrade in place: the installed code takes over from the running one, step by step, and nothing ends."""
