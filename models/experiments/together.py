"""What all ideas give together: pooled, with the other symbols, cautious, and only when bold."""

from models.experiments.lead_lag import each_other
from models.experiments.variant import Idea, Variant

IDEA = Idea(
    name="together",
    question="What do lead and lag, caution and abstaining give together?",
    variants=tuple(
        Variant(
            name=f"boldest {share:.0%}",
            act_share=share,
            columns=each_other,
            learner="cautious classifier",
        )
        for share in (0.2, 0.05, 0.02)
    ),
)
