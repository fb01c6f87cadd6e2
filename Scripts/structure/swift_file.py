"""One Swift file, read as far as its structure needs: code without comments and strings, types, functions, uses of names."""
import bisect
import functools
import re

_CODE = re.compile(r'//[^\n]*|/\*|#*"""|#*"|[()]')
_COMMENT = re.compile(r"/\*|\*/")
_DECLARATION = re.compile(
    r"[{}]|(?<![.\w`])(?P<kind>struct|class|enum|actor|protocol|extension|typealias|associatedtype|func|init|subscript)\b"
    r"(?:\s+(?P<name>[A-Za-z_][\w.]*))?")
_TYPE_KINDS = {"struct", "class", "enum", "actor", "protocol", "extension"}
_NOT_A_TYPE = {"func", "var", "let", "subscript", "init"}
_IMPORT = re.compile(r"^[ \t]*(?:@\w+[ \t]+|\w+[ \t]+)*?import[ \t]+(?:\w+[ \t]+)?(\w+)[^\n]*", re.M)
_IDENTIFIER = re.compile(r"(?<![.\w])[A-Z]\w*")
_PROPERTY = re.compile(r"(?<![.\w`])(?:let|var)\b")
_MODIFIERS = re.compile(r"(?:[@\w]+(?:\([^()\n]*\))?[ \t]+)*$")


def code_of(text):
    """`text` with comments and the contents of strings as blanks; code inside of strings stays. Lines and columns stay as they are."""
    out = []

    def blank(start, end):
        out.append(re.sub(r"[^\n]", " ", text[start:end]))

    def code(place, inside):
        """Copies code from `place` on; inside of a string up to the bracket that closes its interpolation."""
        depth = 0
        while match := _CODE.search(text, place):
            token = match.group()
            out.append(text[place:match.start()])
            place = match.end()
            if token in "()":
                depth += 1 if token == "(" else -1
                out.append(token)
                if inside and depth < 0:
                    return place
            elif token.startswith("//"):
                blank(match.start(), place)
            elif token == "/*":
                place = comment(match.start())
            else:
                place = string(match.start(), token)
        out.append(text[place:])
        return len(text)

    def comment(start):
        place, depth = start + 2, 1
        while depth and (match := _COMMENT.search(text, place)):
            depth += 1 if match.group() == "/*" else -1
            place = match.end()
        blank(start, place if not depth else len(text))
        return place if not depth else len(text)

    def string(start, opening):
        hashes = opening.count("#")
        quotes = opening[hashes:]
        escape = "\\" + "#" * hashes
        token = re.compile(re.escape(escape) + r"\(|" + re.escape(escape) + r"[\s\S]|" + quotes + "#" * hashes
                           + ("" if quotes == '"""' else r"|\n"))
        place = start + len(opening)
        blank(start, place)
        while match := token.search(text, place):
            opens = match.group() == escape + "("
            blank(place, match.end() - opens)
            place = match.end()
            if opens:
                out.append("(")
                place = code(place, True)
            elif not match.group().startswith("\\"):
                return place
        blank(place, len(text))
        return len(text)

    code(0, False)
    return "".join(out)


@functools.lru_cache(maxsize=None)
def swift_file(path, text):
    """The same file read once, however often it is asked for."""
    return SwiftFile(path, text)


class Scope:
    """A pair of braces: of a type or an extension (`kind`, `name`), or of anything else (`kind` is None)."""

    def __init__(self, kind, name, start, parent):
        self.kind, self.name, self.start, self.parent = kind, name, start, parent
        self.end = None

    def types(self):
        """Names of the types around, the innermost first."""
        scope = self
        while scope is not None:
            if scope.kind:
                yield from reversed(scope.name.split("."))
            scope = scope.parent


class Declaration:
    def __init__(self, kind, name, place, outer, scope_parent, is_private):
        self.kind, self.name, self.place, self.outer, self.is_private = kind, name, place, outer, is_private
        # The braces around it, None at the top level.
        self.within = scope_parent


class SwiftFile:
    """`path` is below the project, `folder` what it is in; positions are offsets into `code`."""

    def __init__(self, path, text):
        self.path = path
        self.folder, _, self.file_name = path.rpartition("/")
        self.text = text
        self.lines = text.split("\n")
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        code = code_of(text)
        self.imports = [(match.group(1), self.line(match.start())) for match in _IMPORT.finditer(code)]
        self.code = _IMPORT.sub(lambda match: " " * len(match.group()), code)
        self.scopes, self.declarations = [], []
        self._read_declarations()

    def line(self, place):
        return bisect.bisect_right(self._starts, place)

    def at(self, place):
        return f"{self.path}:{self.line(place)}"

    def _read_declarations(self):
        current, waiting = None, None
        for match in _DECLARATION.finditer(self.code):
            token = match.group()
            if token == "{":
                kind, name = waiting or (None, None)
                current = Scope(kind, name, match.end(), current)
                self.scopes.append(current)
                waiting = None
            elif token == "}":
                if current is not None:
                    current.end = match.start()
                    current = current.parent
            else:
                kind, name = match["kind"], match["name"]
                if kind in _TYPE_KINDS and (name is None or name in _NOT_A_TYPE):
                    continue
                modifiers = self._modifiers(match.start())
                is_private = bool(re.search(r"\b(?:file)?private\b(?!\()", modifiers))
                outer = next(current.types(), None) if current is not None else None
                self.declarations.append(
                    Declaration(kind, name or kind, match.start(), outer, current, is_private))
                waiting = (kind, name) if kind in _TYPE_KINDS else None
        for scope in self.scopes:
            if scope.end is None:
                scope.end = len(self.code)

    def scope_at(self, place):
        """The innermost braces around a place."""
        index = bisect.bisect_right(self.scopes, place, key=lambda scope: scope.start)
        scope = self.scopes[index - 1] if index else None
        while scope is not None and scope.end < place:
            scope = scope.parent
        return scope

    def _modifiers(self, place):
        """The words before a declaration on its line."""
        return _MODIFIERS.search(self.code, self.code.rfind("\n", 0, place) + 1, place).group()

    def names_used(self):
        """(name, place) of what may be the name of a type that is declared at the top level somewhere."""
        for match in _IDENTIFIER.finditer(self.code):
            yield match.group(), match.start()

    def generic_parameters(self):
        """Names that stand for any type somewhere in this file."""
        names = set()
        for match in re.finditer(r"\b(?:struct|class|enum|actor|func|init|subscript|typealias)\b[^\n(<{=]*<([^\n{(]*)>", self.code):
            names.update(re.findall(r"(?:^|,)\s*(?:each\s+|let\s+)?([A-Z]\w*)", match.group(1)))
        return names

    def stored_properties(self):
        """(type, place) of each stored property of instances; a type is `Outer.Inner`."""
        for match in _PROPERTY.finditer(self.code):
            scope = self.scope_at(match.start())
            if scope is None or scope.kind not in ("struct", "class", "actor"):
                continue
            line_start = self.code.rfind("\n", 0, match.start()) + 1
            if self.code[line_start:match.start()].count("(") > self.code[line_start:match.start()].count(")"):
                continue
            modifiers = self._modifiers(match.start())
            if re.search(r"\b(?:static|class)\b", modifiers):
                continue
            for _ in range(self._stored_in(match.end(), scope.end)):
                yield self._full_name(scope), match.start()

    def _full_name(self, scope):
        """`Outer.Inner`; a private type of the top level has its file's name before its own, since others may be called the same."""
        names = list(scope.types())[::-1]
        private = any(declaration.within is None and declaration.is_private and declaration.name == names[0]
                      and declaration.kind in _TYPE_KINDS - {"extension"} for declaration in self.declarations)
        return ".".join([self.file_name.removesuffix(".swift"), *names] if private else names)

    def _stored_in(self, place, end):
        """How many properties a `let` or `var` stores whose names begin at `place`: none if it is computed."""
        count, depth, has_value, last = 1, 0, False, ""
        while place < end:
            character = self.code[place]
            if character in "([<" and not (character == "<" and has_value):
                if depth == 0 and character == "(" and last == "":
                    inner = self.code[place + 1:self.code.find(")", place)]
                    count = inner.count(",") + 1
                depth += 1
            elif character in ")]>" and not (character == ">" and (has_value or last == "-")):
                depth -= 1
            elif depth == 0:
                if character == "{" and not has_value:
                    return count if re.match(r"\s*(?:willSet|didSet)\b", self.code[place + 1:place + 40]) else 0
                if character == "{":
                    place = self._closing(place)
                elif character == "=":
                    has_value = True
                elif character == "," and not has_value:
                    count += 1
                elif character == "," and has_value:
                    count, has_value = count + 1, False
                elif character == ";" or (character == "\n" and last not in ":,=-" and not self._goes_on(place)):
                    return count
            if not character.isspace():
                last = character
            place += 1
        return count

    def _goes_on(self, place):
        """Whether the next line with code continues the one that ends at `place`."""
        following = re.match(r"\s*(\S{0,2})", self.code[place:place + 400]).group(1)
        return following[:1] in ("=", "{", "?", ".", "+", "&", "|") or following == "->"

    def _closing(self, place):
        depth = 0
        for match in re.compile("[{}]").finditer(self.code, place):
            depth += 1 if match.group() == "{" else -1
            if depth == 0:
                return match.start()
        return len(self.code)

    def parameter_lists(self):
        """(name, text between the brackets, place) of each function, initializer and subscript."""
        for declaration in self.declarations:
            if declaration.kind not in ("func", "init", "subscript"):
                continue
            # Operators have no name that is a word; they have two parameters.
            start = self.code.find("(", declaration.place)
            if start < 0:
                continue
            depth, place = 0, start
            for match in re.compile("[()]").finditer(self.code, start):
                depth += 1 if match.group() == "(" else -1
                if depth == 0:
                    place = match.start()
                    break
            name = declaration.name if declaration.outer is None else f"{declaration.outer}.{declaration.name}"
            yield name, self.code[start + 1:place], declaration.place
