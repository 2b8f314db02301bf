"""Forms of an operation that a CPU runs fast, out of the way of the equations."""
