"""Synthetic training faces: the open face model with skin, hair, eyes, light and a camera, and exact labels."""
