"""Messages about runs, by Slack and mail."""
