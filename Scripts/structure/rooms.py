"""No circle between the folders of one target, and no use against the order of the targets in Package.swift."""
from collections import defaultdict

import rules


class _Names:
    """Where the types of one target are declared: those of its top level by name, the others by what they are in."""

    def __init__(self, files):
        self.folder_of, self.nested = {}, defaultdict(set)
        for file in files:
            for declaration in file.declarations:
                if declaration.kind in ("func", "init", "subscript", "extension"):
                    continue
                if declaration.outer is not None:
                    self.nested[declaration.outer].add(declaration.name)
                elif declaration.within is None and not declaration.is_private:
                    self.folder_of.setdefault(declaration.name, (file.folder, file.path))


def _uses(files):
    """{(folder, folder): [(file, place, type)]} of one target, a type of a file once."""
    names = _Names(files)
    edges = defaultdict(list)
    for file in files:
        shadowing = file.generic_parameters() | {
            declaration.name for declaration in file.declarations
            if declaration.within is None and declaration.is_private and declaration.kind != "extension"}
        seen = set()
        for name, place in file.names_used():
            if name in seen or name in shadowing or name not in names.folder_of:
                continue
            folder, _ = names.folder_of[name]
            if folder == file.folder:
                continue
            scope = file.scope_at(place)
            if scope is not None and any(name in names.nested[outer] for outer in scope.types()):
                continue
            seen.add(name)
            edges[file.folder, folder].append((file, place, name))
    return edges


def _components(edges):
    """Sets of folders that reach one another, of two and more."""
    after = defaultdict(set)
    for first, second in edges:
        after[first].add(second)

    def reached(start):
        found, waiting = set(), [start]
        while waiting:
            for folder in after[waiting.pop()] - found:
                found.add(folder)
                waiting.append(folder)
        return found
    reach = {folder: reached(folder) for folder in {end for edge in edges for end in edge}}
    components = []
    for folder in sorted(reach):
        component = {other for other in reach[folder] if folder in reach[other]}
        if folder in component and component not in components:
            components.append(component)
    return components


def _way(edges, start, end, allowed):
    """Folders of a shortest way of uses from `start` to `end`."""
    ways, waiting = {start: [start]}, [start]
    for folder in waiting:
        for first, second in sorted(edges):
            if first == folder and second in allowed and second not in ways:
                ways[second] = ways[first] + [second]
                waiting.append(second)
    return ways[end]


def circles(target, files):
    """A line for each type that closes a circle: of the uses on it those of the thinnest edge, which are the fewest to undo."""
    edges = _uses(files)
    short = lambda folder: folder[len(target.path):].strip("/") or target.path.rpartition("/")[2]  # noqa: E731
    while components := _components(edges):
        component = components[0]
        inside = {edge: uses for edge, uses in edges.items() if set(edge) <= component}
        first, second = min(inside, key=lambda edge: (len(inside[edge]), edge))
        way = _way(inside, second, first, component)
        circle = " -> ".join(short(folder) for folder in [first, *way])
        for file, place, name in inside[first, second]:
            yield (f"{file.at(place)}: circle of folders {circle}: {short(first)} uses {name} of {short(second)};"
                   f" move one of them, or hand over a protocol or a value")
        del edges[first, second]


def order(targets):
    """Lines for what Package.swift lets a target stand on."""
    own = {target.name: target for target in targets}
    before = set()
    for target in targets:
        for name in target.dependencies:
            if name not in own:
                yield f"Package.swift:{target.line}: {target.name} depends on {name}, which is no target here"
            elif name not in before:
                yield (f"Package.swift:{target.line}: {target.name} depends on {name}, which stands above it:"
                       f" a target uses those that come before it")
        before.add(target.name)
    for name, forbidden, why in rules.UNREACHABLE:
        if name not in own:
            yield f"Scripts/structure/rules.py: UNREACHABLE names {name}, which is no target"
            continue
        way = {name: name}
        waiting = [name]
        for reached in waiting:
            for dependency in own[reached].dependencies:
                if dependency in own and dependency not in way:
                    way[dependency] = f"{way[reached]} -> {dependency}"
                    waiting.append(dependency)
        for dependency in forbidden:
            if dependency in way:
                yield f"Package.swift:{own[name].line}: {way[dependency]}: {why}; take the dependency out"


def imports(target, files, targets):
    """Lines for imports of targets that Package.swift does not give to this one: the compiler takes those it finds built."""
    modules = {other.name for other in targets}
    for file in files:
        for module, line in file.imports:
            if module in modules and module not in target.dependencies and module != target.name:
                yield (f"{file.path}:{line}: upward use: {target.name} imports {module}, which Package.swift does not give it;"
                       f" use what is below, or move the file")
