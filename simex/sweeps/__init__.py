"""Many runs of one experiment: which, how they share work, and what came of them."""
