"""The kit of a run: its folder, its loop, its progress, its figures."""
