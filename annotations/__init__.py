"""Human judgement: claim, judge, decide, and the pages moderators work in."""
