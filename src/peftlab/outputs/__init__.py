"""What comes out of a trained trial: predictions on new text."""
