"""Prompt styles: how a question is put moves accuracy and joules more than anything else."""

STYLES: dict[str, str] = {
    "plain": "",
    "number_only": "Reply with the number only.",
    "equations": "Write only the equations of each step, one per line, without any words.",
    "steps": "Think step by step. End with a line 'Answer: ' and the result.",
}
"""Style name → instruction appended to the question; ``plain`` appends nothing."""
