"""Tasks that depend on each other, and the threads that work on them."""
