"""What a model can do, as estimates with intervals: predicting, ranking, fixing, scores."""
