"""Targets of Package.swift and what they stand on, read from its text: asking the package manager takes a second."""
import re
from swift_file import code_of

_CALL = re.compile(r"(?:\.(target|executableTarget|testTarget|systemLibrary)|\b(\w+))\s*\(")


class Target:
    def __init__(self, kind, name, path, dependencies, products, line):
        self.kind, self.name, self.path, self.line = kind, name, path, line
        # Names of targets of this package in the order of the file, and of products of others.
        self.dependencies, self.products = dependencies, products


def _bracketed(text, code, start):
    """What is between the bracket at `start` and the one that closes it, of `text` and of `code`."""
    depth = 0
    for match in re.compile(r"[\[\](){}]").finditer(code, start):
        depth += 1 if match.group() in "[({" else -1
        if depth == 0:
            return text[start + 1:match.start()], code[start + 1:match.start()], match.end()
    return text[start + 1:], code[start + 1:], len(text)


def _without_comments(text, code):
    """`text` without its comments: strings are blank in `code` too, so what begins with // there is told by the line."""
    return "\n".join(re.sub(r"^\s*//.*$", "", line) for line in text.split("\n"))


def targets(text):
    """All targets of a manifest, in its order. A function of the manifest's own that makes targets takes a name and dependencies,
    and says in its body what it makes of the name."""
    code = code_of(text)
    products = dict(re.findall(r'let (\w+) = Target\.Dependency\.product\(name: "(\w+)"', text))
    makers = {}
    for match in re.finditer(r"func (\w+)\([^)]*\)\s*->\s*Target\s*\{", code):
        body, _, _ = _bracketed(text, code, match.end() - 1)
        name = re.search(r'name: "([^"]*)"', body)
        path = re.search(r'path: "([^"]*)"', body)
        makers[match.group(1)] = (name.group(1) if name else "\\(name)", path.group(1) if path else None)
    begin = re.search(r"\btargets:\s*\[(?=\s*(?:\.|\w+\(|//))", text[code.find("let package"):])
    if begin is None:
        raise ValueError("Package.swift has no list of targets that Scripts/structure can read")
    start = code.find("let package") + begin.end() - 1
    list_text, list_code, _ = _bracketed(text, code, start)
    found, place = [], 0
    while match := _CALL.search(list_code, place):
        arguments, _, place = _bracketed(list_text, list_code, match.end() - 1)
        arguments = _without_comments(arguments, None)
        kind, maker = match.group(1), match.group(2)
        name = re.search(r'(?:name:\s*)?"([^"]+)"', arguments).group(1)
        path = re.search(r'\bpath:\s*"([^"]+)"', arguments)
        path = path.group(1) if path else None
        if maker is not None:
            made_name, made_path = makers.get(maker, ("\\(name)", None))
            path = path or (made_path.replace("\\(name)", name) if made_path else None)
            name, kind = made_name.replace("\\(name)", name), "target"
        # The first list is the one of dependencies: a target's other lists come after it.
        opening = arguments.find("[")
        inner = _bracketed(arguments, code_of(arguments), opening)[0] if opening >= 0 and kind != "systemLibrary" else ""
        own = re.findall(r'(?<!: )"([^"]+)"', re.sub(r"\.product\([^)]*\)", "", inner))
        others = [products[word] for word in re.findall(r'(?<!")\b([a-z]\w*)\b(?!")', inner) if word in products]
        others += re.findall(r'\.product\(name:\s*"(\w+)"', inner)
        if path is None:
            path = ("Tests/" if kind == "testTarget" else "Sources/") + name
        line = text.count("\n", 0, start + 1 + match.start()) + 1
        found.append(Target(kind, name, path, own, others, line))
    return found
