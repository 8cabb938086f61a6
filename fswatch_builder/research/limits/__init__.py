"""How far watching goes: one experiment a file, each a question, a method and a table."""
