"""Asks whether direction is better learned as such than as the sign of a return."""

from models.experiments.variant import Idea, Variant

IDEA = Idea(
    name="classification loss",
    question="Does learning the sign beat learning the return?",
    variants=(
        Variant(name="same trees", learner="classifier"),
        Variant(name="cautious trees", learner="cautious classifier"),
        Variant(name="linear", learner="logistic"),
    ),
)
