"""What documents say of the code is there: files, types, sections, links, and the graph of targets."""
import re
from pathlib import Path

import rules

_CITATION = re.compile(r'docs/([\w./-]+\.md),?\s+\(?"([^"]+)"')
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_SCRIPT = re.compile(r"(?<![\w/.])Scripts/[A-Za-z][\w-]*(?:\.\w+)?")
_QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_TYPE = r"[A-Z][A-Za-z0-9]*(?:\+[A-Z]\w*)?"
_PATH = re.compile(rf"^((?:[A-Za-z]\w*/)+)({_TYPE})?$")
_NAME = re.compile(rf"^({_TYPE})(?:\.(\w+))?$")
_WORD_OF_A_TYPE = re.compile(r"^(?:[A-Z][a-z0-9]+){2,}$|^[A-Z]\d?[A-Z][a-z]\w*$|^[A-Z0-9]{2,}[A-Z][a-z]\w*$")


def _headings(path):
    """Headings without what follows in brackets, and without quotes of code."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", path.read_text(), re.M):
        found.update({heading, re.sub(r"\s*[(:].*$", "", heading)})
    return found


def citations(project, files):
    """Lines for comments that cite a section of a document that has none of that name."""
    for path, text in files:
        joined = re.sub(r"\n[ \t]*//+[ \t]*", lambda match: " " + " " * (len(match.group()) - 1), text)
        for match in _CITATION.finditer(joined):
            document, section = project / "docs" / match.group(1), re.sub(r"\s+", " ", match.group(2))
            line = text.count("\n", 0, match.start()) + 1
            if not document.is_file():
                yield f"{path}:{line}: docs/{match.group(1)} is not there; name the document that has it"
            elif section not in _headings(document):
                yield f'{path}:{line}: docs/{match.group(1)} has no section "{section}"; name the one that is meant'


def links(project, documents):
    """Lines for links to files, scripts and targets of make that are not there."""
    made = set(re.findall(r"^([a-z-]+):", (project / "Makefile").read_text(), re.M))
    for document in documents:
        for number, line in enumerate((project / document).read_text().split("\n"), 1):
            for target in _LINK.findall(line):
                if not ((project / document).parent / target).exists():
                    yield f"{document}:{number}: link to {target}, which is not there; correct it"
            for script in _SCRIPT.findall(line):
                if not (project / script).exists():
                    yield f"{document}:{number}: {script} is not there; correct its name"
            for target in re.findall(r"`make ([a-z-]+)", line):
                if target not in made:
                    yield f"{document}:{number}: `make {target}` is not in the Makefile; correct its name"


class _Code:
    """Names of all that is declared in Sources."""

    def __init__(self, files, project):
        self.files = [file.path.removesuffix(".swift") for file in files]
        self.folders = {str(path.relative_to(project)) for path in (project / "Sources").rglob("*") if path.is_dir()}
        self.types, self.members = set(), set()
        for file in files:
            for declaration in file.declarations:
                if declaration.kind in ("func", "init", "subscript"):
                    self.members.add(declaration.name)
                elif declaration.kind != "extension":
                    self.types.add(declaration.name)
            for names in re.findall(r"\b(?:let|var|case)\s+([\w, ]+)", file.code):
                self.members.update(re.findall(r"\w+", names))
        self.modules = {folder.rpartition("/")[2] for folder in self.folders}

    def has_path(self, folder, name):
        if name:
            return any(path.endswith(f"/{folder}{name}") for path in (*self.files, *self.folders))
        return any(path.endswith("/" + folder.rstrip("/")) or path == folder.rstrip("/") for path in self.folders)

    def has_name(self, name, member):
        if "+" in name:
            return any(path.endswith("/" + name) for path in self.files)
        return (name in self.types or name in self.modules) and (member is None or member in self.members)


def names(project, documents, files, modules):
    """Lines for `Folder/Type`, `Type`, `Type.member` and `Type+Aspect` that Sources does not have.

    A single capitalised word may be anything (`Authorization`), so only words with two capitals are taken for types; in the
    walk through the files (docs/ARCHITECTURE.md) every capitalised word is one.
    """
    code = _Code(files, project)
    code.modules |= set(modules)
    unused = set(rules.DOCUMENT_NAMES)
    for document in documents:
        for number, line in enumerate((project / document).read_text().split("\n"), 1):
            for quoted in _QUOTED.findall(line):
                path, name = _PATH.match(quoted), _NAME.match(quoted)
                if quoted in rules.DOCUMENT_NAMES:
                    unused.discard(quoted)
                elif path and (quoted[0].isupper() or path.group(2)) and not (project / quoted).exists():
                    if not code.has_path(path.group(1), path.group(2)):
                        yield f"{document}:{number}: `{quoted}` is nowhere in Sources; write its new name or place"
                elif name and (document.endswith("ARCHITECTURE.md") or name.group(2) or "+" in quoted
                               or _WORD_OF_A_TYPE.match(quoted)):
                    if not code.has_name(*name.groups()):
                        yield f"{document}:{number}: `{quoted}` is declared nowhere in Sources; write its new name"
    for name in sorted(unused):
        yield f"Scripts/structure/rules.py: DOCUMENT_NAMES has {name}, which no document names any more; take it out"


def _reduced(uses):
    """Edges without those that a longer way says too."""
    def reached(start, without):
        found, waiting = set(), [name for name in uses[start] if name != without]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += uses[name]
        return found
    return {(name, used) for name in uses for used in uses[name] if used not in reached(name, used)}


def graph(document, text, targets):
    """Lines where the picture of the targets (mermaid: what no longer way says) or their table (all) is not what Package.swift says."""
    libraries = {target.name for target in targets if target.kind == "systemLibrary"}
    own = [target for target in targets if target.path.startswith("Sources/") and target.name not in libraries]
    names = {target.name for target in own}
    uses = {target.name: [name for name in target.dependencies if name in names] for target in own}
    block = re.search(r"```mermaid\n(.*?)```", text, re.S)
    if block is None:
        yield f"{document}:1: no mermaid graph of the targets; draw the one of Package.swift"
        return
    line = text.count("\n", 0, block.start()) + 1
    drawn = {(first, second) for first, others in re.findall(r"^\s*(\w+)\s*-->\s*([\w& ]+)", block.group(1), re.M)
             for second in re.split(r"\s*&\s*", others.strip())}
    for first, second in sorted(_reduced(uses) - drawn):
        yield f"{document}:{line}: the graph lacks {first} --> {second}, which Package.swift has; draw it"
    for first, second in sorted(drawn - _reduced(uses)):
        yield f"{document}:{line}: the graph has {first} --> {second}, which Package.swift has not, or says by a longer way; take it out"
    rows = {name: (place, re.findall(r"`(\w+)`", own_cell), re.findall(r"`(\w+)`", c_cell))
            for place, name, own_cell, c_cell in _rows(text)}
    for target in own:
        expected = uses[target.name], [name for name in target.dependencies if name in libraries]
        if target.name not in rows:
            yield f"{document}:{line}: the table of targets lacks {target.name}; add its row"
            continue
        place, *said = rows.pop(target.name)
        for what, should, does in zip(("uses", "C libraries"), expected, said):
            if set(should) != set(does):
                yield f"{document}:{place}: {what} of {target.name} are {' '.join(f'`{name}`' for name in should) or 'none'} in Package.swift"
    for name, (place, *_) in rows.items():
        yield f"{document}:{place}: {name} is no target of Package.swift; take the row out"


def _rows(text):
    """(line, target, uses, C libraries) of the table of targets."""
    for number, line in enumerate(text.split("\n"), 1):
        if match := re.match(r"\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|\s*$", line):
            yield number, *match.groups()


def all_documents(project):
    """Documents that speak of what is; those in docs/decisions speak of what was."""
    found = [path for path in sorted((project / "docs").glob("*.md"))] + [project / "README.md", project / "CONTRIBUTING.md"]
    return [str(path.relative_to(project)) for path in found if path.is_file()]


def decisions(project):
    return [str(path.relative_to(project)) for path in sorted(Path(project, "docs", "decisions").glob("*.md"))]
