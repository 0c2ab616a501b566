"""Problems with their tests, and programs for them: made here, harvested or imported."""
