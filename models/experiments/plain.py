"""The product's model as it is: what the others are compared with."""

from models.experiments.variant import Idea, Variant

IDEA = Idea(
    name="plain",
    question="How good is the product's model?",
    variants=(Variant(name="as it is"),),
)
