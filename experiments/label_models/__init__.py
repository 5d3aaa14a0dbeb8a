"""How well label models find out, without labels, which verifiers to believe."""
