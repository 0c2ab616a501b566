"""What a run would need on devices that are not here, asked of their own compiler."""
