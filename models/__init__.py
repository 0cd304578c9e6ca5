"""What a face is, and what predicts one: morphable models, pose, coefficients, networks, runs."""
