"""What an action saved: factor versions, and the sum itself."""
