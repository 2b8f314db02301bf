"""What a compiled program does, read from its text."""

import collections
import re

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def collectives(text: str) -> dict[str, int]:
    """How often each collective stands in the HLO text; one that sends several arrays at once counts once.

    One inside a loop counts once, so in a program of scanned steps this is the number of a step. On TPU a
    collective may be two instructions, of which the one that starts it counts.
    """
    found = re.findall(rf"\b({'|'.join(COLLECTIVES)})(?:-start)?\(", text)
    return dict(collections.Counter(found))
