"""The memory of Meterhouse: alerts raised, decisions taken, what was sent. It cannot be rebuilt.

What can be computed from lake, catalog and accounts does not belong here; nor does sending anything.
"""

from pipelines.ledger.connect import URL_VARIABLE, LedgerError
from pipelines.ledger.records import (
    Alert,
    Decision,
    DecisionKind,
    DeliveryState,
    Message,
    Notification,
    RaisedAlert,
)
from pipelines.ledger.store import Ledger, open_ledger

__all__ = [
    "URL_VARIABLE",
    "Alert",
    "Decision",
    "DecisionKind",
    "DeliveryState",
    "Ledger",
    "LedgerError",
    "Message",
    "Notification",
    "RaisedAlert",
    "open_ledger",
]
