"""Tests of the runtime: mailboxes, supervision, tracing, delivery, the narrative."""
