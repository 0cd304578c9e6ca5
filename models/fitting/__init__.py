"""From landmarks to a face without any network."""
