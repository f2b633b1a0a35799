"""One module a step, named by its number; SQL of more than a few lines stands beside it."""
