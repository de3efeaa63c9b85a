# SPDX-License-Identifier: Apache-2.0
"""What the program says on standard error, as warnings."""
import warnings


class Notice(UserWarning):
    """Something that a reader or planner took for granted, or doubts."""


def take(kind, line):
    """Called by the library, once per line."""
    del kind  # notes and warnings alike: what was assumed is never silent
    warnings.warn(line.removeprefix("moeshift: "), Notice, stacklevel=3)
