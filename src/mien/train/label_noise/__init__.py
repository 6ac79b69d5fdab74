"""Label noise: scores of how believable a label is, and filtering by them."""
