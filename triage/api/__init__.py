"""The HTTP API under ``/api/v1``: reports in, submissions, referrals out, health."""
