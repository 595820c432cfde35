"""Programs for people who work on the project: servers to try things on, the demo, the benchmark, chaos."""
