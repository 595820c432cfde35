"""What starts runs, or tells of changes, by itself: schedules and sensors."""
