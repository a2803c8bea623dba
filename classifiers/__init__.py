"""Machine judgement: text in, calibrated scores with evidence out.

No database, no web, no queue. Sees only ``triage.domain``.
"""
