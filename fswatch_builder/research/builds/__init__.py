"""``bench CONTEXT``: a user's own Dockerfile, built in turns under each way to find changes, and by other builders."""
