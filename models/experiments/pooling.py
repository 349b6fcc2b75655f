"""Asks whether symbols teach one another."""

from models.experiments.variant import Idea, Variant

IDEA = Idea(
    name="pooled training",
    question="Is one model of all symbols better than one each?",
    variants=(
        Variant(name="returns", pooled=True),
        Variant(name="returns in volatilities", pooled=True, scaled=True),
        Variant(name="cautious classifier", pooled=True, learner="cautious classifier"),
    ),
)
