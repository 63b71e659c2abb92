"""Telling Stripe, exactly once, what the ledger issued, and hearing from it what became of it.

What is issued and what it amounts to is decided before, in SQL; nothing here adds, rates or rounds money.
"""

from pipelines.payments.outbox import enqueue, enqueue_closing

__all__ = ["enqueue", "enqueue_closing"]
