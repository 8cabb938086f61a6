"""Builders under measurement: this one, and those that it is compared with, each in a private place of its own."""
