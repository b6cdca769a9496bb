"""The outputs of a trained trial: predictions on new text, exported and submitted files."""
