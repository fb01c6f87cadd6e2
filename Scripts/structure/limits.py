"""Sizes: columns of lines, lines of files, stored properties of types, unlabelled parameters of functions."""
import re
from collections import defaultdict

import rules

_UNLABELLED = re.compile(r"(?:^|,)\s*(?:@\w+\s+)*_\s+\w+\s*:")


def columns(path, lines):
    for number, line in enumerate(lines, 1):
        if len(line) > rules.LINE_COLUMNS:
            yield f"{path}:{number}: {len(line)} columns; wrap it ({rules.LINE_COLUMNS} at most)"


def file_length(path, text):
    count = text.count("\n")
    if count > rules.FILE_LINES:
        yield f"{path}:{rules.FILE_LINES + 1}: {count} lines; split the file ({rules.FILE_LINES} at most)"


def stored_properties(files):
    """Types of one target, each with its extensions."""
    places = defaultdict(list)
    for file in files:
        for name, place in file.stored_properties():
            places[name].append(file.at(place))
    for name, found in places.items():
        if len(found) > rules.STORED_PROPERTIES and name not in rules.STORED_PROPERTY_EXCEPTIONS:
            yield (f"{found[0]}: {name} has {len(found)} stored properties; give those that belong together a type"
                   f" ({rules.STORED_PROPERTIES} at most)")


def unlabelled_parameters(files):
    for file in files:
        for name, parameters, place in file.parameter_lists():
            count = len(_UNLABELLED.findall(_outermost(parameters)))
            if count > rules.UNLABELLED_PARAMETERS and name not in rules.UNLABELLED_PARAMETER_EXCEPTIONS:
                yield (f"{file.at(place)}: {name} has {count} parameters without a label; label them, or make them one value"
                       f" ({rules.UNLABELLED_PARAMETERS} at most)")


def _outermost(parameters):
    """Without what is in brackets: parameters of a closure's type have no labels and are none of the function's."""
    while (shorter := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", parameters)) != parameters:
        parameters = shorter
    return parameters


def unused_exceptions(files_of_target):
    """Exceptions of the two lists that no type and no function has any more."""
    files = [file for files in files_of_target for file in files]
    types = {name for file in files for name, _ in file.stored_properties()}
    functions = {name for file in files for name, _, _ in file.parameter_lists()}
    for name in sorted(set(rules.STORED_PROPERTY_EXCEPTIONS) - types):
        yield f"Scripts/structure/rules.py: STORED_PROPERTY_EXCEPTIONS has {name}, which is no type any more; take it out"
    for name in sorted(set(rules.UNLABELLED_PARAMETER_EXCEPTIONS) - functions):
        yield f"Scripts/structure/rules.py: UNLABELLED_PARAMETER_EXCEPTIONS has {name}, which is no function any more; take it out"
