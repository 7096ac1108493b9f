"""Jobs that judge a trained model."""
