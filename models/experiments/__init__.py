"""The search for skill: one module an idea, one runner, and one look at the bars kept for last."""
