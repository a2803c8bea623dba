"""In and out: reports, posts, cases, priority, referrals, audit, accounts and the API.

Imports nothing of ``classifiers``, ``annotations`` or ``workers``; they all build on this room.
"""
