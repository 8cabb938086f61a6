"""Following a command of the host: what it changes below a directory."""
