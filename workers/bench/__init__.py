"""``triage bench pipeline``: the whole way of a post, measured on servers and processes of its own."""
