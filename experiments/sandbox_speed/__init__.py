"""How fast generated programs run and are judged in the sandbox."""
