"""A person's terminal at a session: `attach`. Also what `send` and `expect` share with it."""
