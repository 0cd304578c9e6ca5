"""Numbers against a truth: metrics, protocols, alignment."""
