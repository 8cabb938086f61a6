"""What the store keeps, for whom, and for how long: sessions and their leases, kept things, prune, verify."""
