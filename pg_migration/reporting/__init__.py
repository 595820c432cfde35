"""The report of a run: what it did as data, as a page, as pictures, and in the terminal."""
