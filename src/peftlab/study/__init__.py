"""The study of a comparison: the study file, the trials that follow from it, and its faults.

`load` reads the file; its keys are in `spec`, `parts` (those of the report), `tune_spec` and
`own_data`. It is expanded to `arms` and `trials`, by way of the rows of its tasks (`task_rows`)
and of `checks`. `stored_studies` and `stored_predictions` find it again in a workspace;
`declarations` says what it declared when scores were shown, and `remembered_looks` keeps that.
Each folder is for one command beside `run`: `new`, `tuning` (tune) and `remarks` (lint).
"""
