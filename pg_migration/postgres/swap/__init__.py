"""Put a schema that was loaded beside a live one in its place: all of several at once, or none."""
