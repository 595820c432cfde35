"""How a command ends that a person stops: apart from the rest, as that takes a moment to import."""

STOPPED = 130  # as shells have it: 128 and the number of SIGINT
NOT_BEGUN = "stopped before a run began; nothing was changed"
