"""The free face model: made from MakeHuman's CC0 data, shipped with the package."""
