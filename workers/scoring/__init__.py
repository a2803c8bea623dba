"""The scoring service: texts in, scores out, nothing kept. Three interfaces over one waiting line and one model."""
