"""Where a built image goes besides the store: the words of ``--output``, and what is written for each."""
