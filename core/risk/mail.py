"""What risk is told, and what it answers."""

from core import messages as m
from core.risk.standing import Note

RiskInput = (
    Note
    | m.Proposal
    | m.ExitProposal
    | m.MarkPrice
    | m.ClosedKline
    | m.KlineHistory
    | m.AccountUpdate
    | m.AccountSnapshot
    | m.FillBooked
    | m.PositionChanged
    | m.EntryEnded
    | m.OrderFailed
    | m.ProtectionFailed
    | m.RecoveredBook
    | m.StateRecorded
    | m.InstrumentChanged
    | m.CorrelatedFailure
    | m.CorrelatedFailureCleared
    | m.Halt
    | m.Flatten
    | m.Pause
    | m.Resume
    | m.Tick
)
RiskOutput = (
    m.Decision
    | m.Approval
    | m.ExitApproval
    | m.StateChanged
    | m.DayLedger
    | m.LossStreak
    | m.SymbolRest
)
