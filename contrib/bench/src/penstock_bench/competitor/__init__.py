"""The competitors' environments, and the process in which the closest of them is measured."""
