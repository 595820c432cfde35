"""How each table is copied: order, ranges, chunks, format."""
