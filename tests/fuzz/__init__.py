"""A seeded fuzz: a small corpus of valid lines, and ways to spoil them (mutate.py). `mutated(n)` is the same line for ever."""
