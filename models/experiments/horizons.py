"""Asks whether a later bar is easier to tell than the next."""

from models.experiments.variant import Idea, Variant

IDEA = Idea(
    name="horizon",
    question="Is the return over more bars easier to tell?",
    variants=tuple(Variant(name=f"{bars} bars", horizon=bars) for bars in (3, 5, 15, 60)),
)
