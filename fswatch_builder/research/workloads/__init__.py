"""Commands to measure: what people's RUNs do, and what trackers find hard."""
