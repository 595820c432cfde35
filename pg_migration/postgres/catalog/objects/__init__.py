"""From catalog rows to objects with the DDL that makes them."""
