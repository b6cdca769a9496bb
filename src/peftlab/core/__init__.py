"""The values that travel between the floors, and what every other floor stands on.

A `trial` is made of `inputs`, `training` and a rule of `selection`; `measurements` come out of it.
`identity` and `corrections` say which trials are the same. `validation`, `errors`, `bounds` and
`safe_yaml` stand at the border to the user; `process`, `parent`, `interrupts`, `files` and `hub`
at that to the machine. `words`, `progress` and `registry` serve all.
"""
