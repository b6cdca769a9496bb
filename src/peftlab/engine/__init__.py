"""What trains one trial, measures it, and reads a trained one back."""
