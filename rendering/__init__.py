"""Pictures and meshes of faces."""
