"""Side-by-side measurements: every pair in one process, interleaved, as medians and ratios."""
