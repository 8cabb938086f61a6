"""Why a step was not in the cache: what is recorded of the last build, and what differs from it."""
