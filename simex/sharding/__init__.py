"""Device meshes, and how named array axes map onto them."""
