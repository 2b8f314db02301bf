"""Published protocols, one file each: its docstring is the command and the result to expect."""
