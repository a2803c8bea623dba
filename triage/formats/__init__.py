"""What leaves the house: the referral document, its canonical JSON with a published schema, and a flat CSV."""
