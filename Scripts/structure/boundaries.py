"""C libraries and the system stay behind the folders that wrap them."""
import re
from collections import defaultdict

import rules

_SOURCES = "Sources/"
_CALL = re.compile(r"(?<![\w.`])(?:Glibc\.)?([a-z_]\w*)\(")
_LABEL = re.compile(r"\s*[A-Za-z_]\w*\s*:(?!:)")
_DECLARES = re.compile(r"\b(?:func|case)\s+$")
# `stat()` makes a value of the structure of that name.
_STRUCTURES = {"stat", "flock", "sigaction", "statfs", "statvfs"}


def _is_in(path, folders):
    return any(path.startswith(f"{_SOURCES}{folder}/") for folder in folders)


def imports(files):
    """Lines for imports of C libraries and frameworks outside of the folders that wrap them."""
    unused = {(path, module) for path, modules in rules.IMPORT_EXCEPTIONS.items() for module in modules}
    for file in files:
        for module, line in file.imports:
            folders = rules.IMPORTERS.get(module)
            if folders is None or _is_in(file.path, folders):
                continue
            key = (file.path.removeprefix(_SOURCES), module)
            if module in rules.IMPORT_EXCEPTIONS.get(key[0], {}):
                unused.discard(key)
                continue
            yield (f"{file.path}:{line}: import {module} outside of {' and '.join(folders)};"
                   f" use the types of that folder instead")
    for path, module in sorted(unused):
        yield f"Scripts/structure/rules.py: IMPORT_EXCEPTIONS has {module} for {path}, which does not need it any more; take it out"


def _functions_of_types(files):
    """{type: its functions} and {path: functions that are declared in it outside of a type}: they hide those of the system."""
    of_type, of_file = defaultdict(set), defaultdict(set)
    for file in files:
        for declaration in file.declarations:
            if declaration.kind == "func":
                if declaration.outer is not None:
                    of_type[declaration.outer].add(declaration.name)
                else:
                    of_file[file.path].add(declaration.name)
    return of_type, of_file


def _is_hidden(file, place, name, of_type, of_file):
    if name in of_file[file.path]:
        return True
    scope = file.scope_at(place)
    if scope is not None and any(name in of_type[outer] for outer in scope.types()):
        return True
    # A parameter or a value of this name that is called.
    return bool(re.search(rf"\b{name}\s*:\s*(?:@|\(|some\b)|\b(?:let|var)\s+{name}\b", file.code))


def system_calls(files_of_target):
    """Lines for calls of the system outside of the folder that wraps it."""
    unused = {(path, name) for path, names in rules.SYSTEM_CALL_EXCEPTIONS.items() for name in names}
    for files in files_of_target:
        of_type, of_file = _functions_of_types(files)
        for file in files:
            if _is_in(file.path, [rules.SYSTEM_CALLS_FOLDER]):
                continue
            path = file.path.removeprefix(_SOURCES)
            for match in _CALL.finditer(file.code):
                name = match.group(1)
                if name not in rules.SYSTEM_CALLS or _DECLARES.search(file.code, match.start() - 12, match.start()):
                    continue
                if name in _STRUCTURES and file.code[match.end()] == ")":
                    continue
                qualified = match.group().startswith("Glibc.")
                if not qualified and (_LABEL.match(file.code, match.end())
                                      or _is_hidden(file, match.start(), name, of_type, of_file)):
                    continue
                excuses = [(place, name) for place, names in rules.SYSTEM_CALL_EXCEPTIONS.items()
                           if name in names and (path == place or place.endswith("/") and path.startswith(place))]
                if excuses:
                    unused.difference_update(excuses)
                    continue
                yield (f"{file.at(match.start())}: system call {name}() outside of {rules.SYSTEM_CALLS_FOLDER};"
                       f" use what that folder has for it, or add it there")
    for path, name in sorted(unused):
        yield f"Scripts/structure/rules.py: SYSTEM_CALL_EXCEPTIONS has {name} for {path}, which does not need it any more; take it out"
