"""The process that compares formulas; it is killed by its own CPU-time limit.

Reads one JSON array [reference, answer] per line, writes ``1`` or ``0`` per line. The only
argument is the CPU time allowed per comparison, in seconds.
"""

import json
import logging
import signal
import sys


def main() -> None:
    """Answer until the input ends."""
    limit_s = float(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends with its input, not by the terminal
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.ERROR)  # math-verify warns at every call that its timeout is off
    # Its other extractor hands model output to sympy's parse_expr; this one has a grammar.
    config = [LatexExtractionConfig()]
    for line in sys.stdin:
        reference, answer = (rf"\boxed{{{text}}}" for text in json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        gold = parse(reference, config, parsing_timeout=None)
        given = parse(answer, config, parsing_timeout=None)
        same = bool(verify(gold, given, timeout_seconds=None))
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(int(same), flush=True)


if __name__ == "__main__":
    main()
