"""Asks whether the model is right more often when it is bold."""

from models.experiments.variant import Idea, Variant

SHARES = (0.5, 0.2, 0.1, 0.05, 0.02)

IDEA = Idea(
    name="abstaining",
    question="Is it right more often on the bars where it is boldest?",
    variants=(
        *(Variant(name=f"boldest {share:.0%}", act_share=share) for share in SHARES),
        *(
            Variant(
                name=f"boldest {share:.0%}, classifier",
                act_share=share,
                learner="cautious classifier",
            )
            for share in SHARES
        ),
    ),
)
