"""The bookkeeping in the target: which chunks are loaded, by which run, of which snapshot."""
