"""What is to be compared: the study file, the trials that follow from it, and its faults."""
