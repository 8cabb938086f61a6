"""One self-contained page out of what `bench` and `limits` measured."""
