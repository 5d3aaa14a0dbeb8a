"""What two models cost that share processor cores: in turns, or both at once."""
