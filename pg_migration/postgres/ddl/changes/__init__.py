"""Change the target: make, set aside, bring back."""
