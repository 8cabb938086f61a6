"""What trackers are measured against in C, and a builder that is built from source; the others are research/peers/."""
