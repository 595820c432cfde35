"""Copy rows and build what needs them there."""
