"""What a compiled program does, read from its text."""

import collections
import re
from typing import Any

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def collectives(text: str) -> dict[str, int]:
    """How often each collective stands in the HLO text; one that sends several arrays at once counts once.

    One inside a loop counts once, so in a program of scanned steps this is the number of a step. On TPU a
    collective may be two instructions, of which the one that starts it counts.
    """
    found = re.findall(rf"\b({'|'.join(COLLECTIVES)})(?:-start)?\(", text)
    return dict(collections.Counter(found))


def host_transfers(text: str) -> list[str]:
    """The instructions of HLO text that talk to the host: feeds, sends, and calls back into Python."""
    pattern = r"(?:infeed|outfeed|send|recv)(?:-done)?\(|custom_call_target=\"[^\"]*(?:callback|host)[^\"]*\""
    return [line.strip()[:200] for line in text.splitlines() if re.search(rf"\b{pattern}", line)]


def matrix_products(text: str) -> list[str]:
    """The lines of StableHLO text with a matrix product or a convolution."""
    return [line for line in text.splitlines() if re.search(r"stablehlo\.(?:dot_general|convolution)", line)]


def account(program: Any) -> dict[str, Any]:
    """What tests ask of a compiled program, ready for JSON. Memory in bytes, of one chip."""
    text, memory = program.as_text(), program.memory_analysis()
    return {
        "collectives": collectives(text),
        "host": host_transfers(text),
        "f64": bool(re.search(r"\bf64\[", text)),
        "arguments": memory.argument_size_in_bytes,
        "aliased": memory.alias_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "products": len(re.findall(r" = \S+ convolution\(", text)),
        "highest": len(re.findall(r"operand_precision=\{highest,highest\}", text)),
    }
