"""Does spending by need pay: best-of-n, sequential sampling and cascades at equal accuracy."""
