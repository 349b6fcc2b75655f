"""All experiments, in the order of the table in docs/models.md."""

from models.experiments import (
    abstaining,
    classification,
    horizons,
    lead_lag,
    order_flow,
    plain,
    pooling,
    together,
    weighting,
)
from models.experiments.variant import Idea

IDEAS: tuple[Idea, ...] = (
    plain.IDEA,
    order_flow.IDEA,
    lead_lag.IDEA,
    classification.IDEA,
    pooling.IDEA,
    horizons.IDEA,
    weighting.IDEA,
    abstaining.IDEA,
    together.IDEA,
)
