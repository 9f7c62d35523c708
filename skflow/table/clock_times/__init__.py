"""Times of day that numbers spell as hours and minutes: 517 is 05:17."""
