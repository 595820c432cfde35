"""Moving a database that goes on being written to: following it, and taking over from it."""
