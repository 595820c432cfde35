"""Prove that both sides are the same: rows, sequences, constraints, nothing left over."""
