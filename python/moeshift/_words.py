# SPDX-License-Identifier: Apache-2.0
"""Keyword arguments as the words of the program's options."""
import operator
import os


def words_of(name, value):
    """(option name, words), or None where the option is left alone (None, False)."""
    if value is None or value is False:
        return None
    option = name.rstrip("_").replace("_", "-")
    if value is True:
        return option, []
    if isinstance(value, (list, tuple, set, frozenset, range)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return (option, [",".join(_word(item) for item in items)]) if len(items) else None
    return option, [_word(value)]


def _word(value):
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, float):
        return repr(value)
    try:
        return str(operator.index(value))  # NumPy's integers, too
    except TypeError:
        pass
    if hasattr(value, "__float__"):
        return repr(float(value))
    raise TypeError(f"expected a text or a number, got {type(value).__name__}")


def pairs(options):
    """What the library takes: [(name, words), ...]."""
    return [pair for pair in (words_of(k, v) for k, v in options.items()) if pair is not None]


def argv(options):
    """The same as words of a command line."""
    line = []
    for name, words in pairs(options):
        line += [f"--{name}={word}" for word in words] or [f"--{name}"]
    return line
