"""A study carried out: the plan, the executors, and what a person sees of it."""
