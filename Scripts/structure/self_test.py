"""Faults put into copies of the project, one at a time: each must be named, and what only looks like one must not be."""
import re
import shutil
import tempfile
from pathlib import Path

import rules

_LEFT_OUT = shutil.ignore_patterns(".build", ".git", ".demo", ".fuzz", "__pycache__", "*.svg")
_LAYERS, _BASE = "Sources/CacheCore/Layers", "Sources/CacheCore/Base"


def _new(path, text):
    """A fault that is a file of its own."""
    return {path: lambda _: text}


def _edited(path, pattern, replacement):
    """A fault in a file that is there; `pattern` must occur."""
    def edit(text):
        changed, count = re.subn(pattern, replacement, text, count=1)
        assert count == 1, f"the self-test finds no {pattern!r} in {path}"
        return changed
    return {path: edit}


def _properties(count):
    return "".join(f"    let property{number}: Int\n" for number in range(count))


def _parameters(count):
    return ", ".join(f"_ parameter{number}: Int" for number in range(count))


# (what, its files, what a line of the answer must say).
FAULTS = [
    ("a circle of folders",
     _new(f"{_BASE}/SelfTestA/First.swift", "struct SelfTestFirst {\n    var other: [SelfTestSecond]\n}\n")
     | _new(f"{_BASE}/SelfTestB/Second.swift", "enum SelfTestSecond {\n    case one(SelfTestFirst)\n}\n"),
     r"SelfTestA/First.swift:2: circle of folders SelfTestA -> SelfTestB -> SelfTestA: .* uses SelfTestSecond"),
    ("a circle through three folders",
     _new(f"{_BASE}/SelfTestA/First.swift", "struct SelfTestFirst {\n    var other: SelfTestSecond?\n}\n")
     | _new(f"{_BASE}/SelfTestB/Second.swift", "final class SelfTestSecond {\n    let text = \"\\(SelfTestThird.self)\"\n}\n")
     | _new(f"{_BASE}/SelfTestC/Third.swift", "extension Array where Element == SelfTestFirst {}\ntypealias SelfTestThird = Int\n"),
     r"circle of folders SelfTest\w -> SelfTest\w -> SelfTest\w -> SelfTest\w:"),
    ("an upward use", _new(f"{_BASE}/SelfTest.swift", "internal import CacheStore\n"),
     r"Base/SelfTest.swift:1: upward use: CacheBase imports CacheStore"),
    ("a dependency on a room above", _edited("Package.swift", r'room\("Store",|room\(\s*"Store",\s*\[', r'\g<0>"CacheImages", '),
     r"Package.swift:\d+: CacheStore depends on CacheImages, which stands above it"),
    ("manifests in reach of the daemon",
     _edited("Package.swift", r'name: "CacheServer",\s*dependencies: \[', r'\g<0>"CacheManifests", '),
     r"Package.swift:\d+: CacheServer -> CacheManifests: the daemon must not"),
    ("a comment of 121 columns", _new(f"{_LAYERS}/SelfTest.swift", "// " + "x" * 118 + "\n"), r"SelfTest.swift:1: 121 columns"),
    ("a string of 121 columns in a test",
     _new("Tests/CacheCoreTests/SelfTest.swift", 'let text = "' + "x" * 108 + '"\n'), r"Tests/.*SelfTest.swift:1: 121 columns"),
    ("a system call", _new(f"{_LAYERS}/SelfTest.swift", "func remove() {\n    unlink(path)\n}\n"),
     r"SelfTest.swift:2: system call unlink\(\) outside"),
    ("a system call inside of a string", _new(f"{_LAYERS}/SelfTest.swift", 'let line = "\\(Glibc.getpid())"\n'),
     r"SelfTest.swift:1: system call getpid\(\) outside"),
    ("libcrypto outside of Crypto", _new(f"{_LAYERS}/SelfTest.swift", "private import COpenSSL\n"),
     r"SelfTest.swift:1: import COpenSSL outside of CacheCore/Crypto"),
    ("a file of 401 lines", _new(f"{_LAYERS}/SelfTest.swift", "\n" * 401), r"SelfTest.swift:401: 401 lines"),
    ("a script of 401 lines", _new("Scripts/self-test-script", "\n" * 401), r"self-test-script:401: 401 lines"),
    ("a type of 13 stored properties",
     _new(f"{_LAYERS}/SelfTest.swift", f"struct SelfTest {{\n{_properties(12)}    var more = 1 {{\n        didSet {{ }}\n    }}\n}}\n"),
     r"SelfTest.swift:2: SelfTest has 13 stored properties"),
    ("a function of five unlabelled parameters",
     _new(f"{_LAYERS}/SelfTest.swift", f"enum SelfTest {{\n    static func call<T>(\n        {_parameters(5)}\n    ) {{}}\n}}\n"),
     r"SelfTest.swift:2: SelfTest.call has 5 parameters without a label"),
    ("a section that is not there", _new(f"{_LAYERS}/SelfTest.swift", "/// As there (docs/FORMAT.md,\n/// \"Self test\").\n"),
     r'SelfTest.swift:1: docs/FORMAT.md has no section "Self test"'),
    ("a type that is not there", _edited("docs/ARCHITECTURE.md", r"\n\n", "\n\n`Layers/SelfTest` and `SelfTestType`.\n\n"),
     r"ARCHITECTURE.md:\d+: `Layers/SelfTest` is nowhere"),
    ("a word that is no type in the walk", _edited("docs/ARCHITECTURE.md", r"\n\n", "\n\n`Selftest` is there.\n\n"),
     r"ARCHITECTURE.md:\d+: `Selftest` is declared nowhere"),
    ("a link to nothing", _edited("README.md", r"\n\n", "\n\n[here](docs/self-test.md)\n\n"), r"README.md:\d+: link to docs/self-test.md"),
    ("an edge too many", _edited("docs/ARCHITECTURE.md", r"```mermaid\n[^\n]*\n", r"\g<0>    CacheBase --> CacheStore\n"),
     r"ARCHITECTURE.md:\d+: the graph has CacheBase --> CacheStore"),
    ("a row that says less than Package.swift", _edited("docs/ARCHITECTURE.md", r"(\| `CacheStore` \|[^|]*\|)[^|]*\|", r"\1 |"),
     r"ARCHITECTURE.md:\d+: uses of CacheStore are `CacheBase`"),
]

# What looks like a fault and is none.
INNOCENT = (
    _new(f"{_LAYERS}/SelfTestA/First.swift", """
// SelfTestSecond, unlink(path), import COpenSSL
/* SelfTestSecond /* nested */ SelfTestSecond */
struct SelfTestFirst {
    struct SelfTestInner {}
    let text = "SelfTestSecond \\(1) unlink(path)"
    let block = #\"\"\"
        SelfTestSecond "quoted" \\(SelfTestSecond.self) unlink(path)
        \"\"\"#
    func unlink(_ name: String) { unlink(name) }
    func call(_ read: @escaping (Int) -> Int, file: SelfTestFile) -> Int { file.close(1) + read(2) + open(file: 3) }
    func generic<SelfTestSecond>(_ value: SelfTestSecond) {}
    var status = stat()
}
""")
    | _new(f"{_LAYERS}/SelfTestB/Second.swift", """
struct SelfTestSecond {
    let first: SelfTestFirst
}
struct SelfTestInner {}
private struct SelfTestFile {}
""")
    | _new(f"{_LAYERS}/SelfTestA/Extension.swift", """
extension SelfTestFirst {
    func make() -> SelfTestInner { SelfTestInner() }
}
private struct SelfTestFile {}
""")
    | _new(f"{_LAYERS}/SelfTestLimits.swift", f"""
// {"x" * (rules.LINE_COLUMNS - 3)}
struct SelfTestLimits {{
{_properties(rules.STORED_PROPERTIES)}
    static let shared = 1, other = 2
    static var third: Int {{ 3 }}
    var computed: Int {{ property0 }}
    var alsoComputed: Int
    {{
        get {{ 1 }}
    }}
    func call(
        {_parameters(rules.UNLABELLED_PARAMETERS)},
        label: Int, body: (_ a: Int, _ b: Int) -> Void
    ) {{ let local = 1 }}
}}
""")
    | _new(f"{_LAYERS}/SelfTestLength.swift", "\n" * rules.FILE_LINES)
)


def _faults_with(project, faults, changes):
    """The faults of `project` with some files changed; it is afterwards as it was."""
    before = {}
    for path, change in changes.items():
        file = project / path
        before[file] = file.read_text() if file.exists() else None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(change(before[file]))
    try:
        return set(faults(project))
    finally:
        for file, text in before.items():
            if text is None:
                file.unlink()
                if not any(file.parent.iterdir()):
                    file.parent.rmdir()
            else:
                file.write_text(text)


def run(project, faults):
    """Prints what is not as it should be; the exit status. What the project has of faults itself changes nothing here."""
    failures = []
    with tempfile.TemporaryDirectory(prefix="layercache-lint-") as directory:
        copy = Path(directory) / "project"
        shutil.copytree(project, copy, ignore=_LEFT_OUT)
        known = set(faults(copy))
        for what, changes, expected in FAULTS:
            new = _faults_with(copy, faults, changes) - known
            if not any(re.search(expected, line) for line in new):
                failures.append(f"{what} is not named; lint says {sorted(new) or 'nothing'}")
        for line in sorted(_faults_with(copy, faults, INNOCENT) - known):
            failures.append(f"no fault, and named: {line}")
        if set(faults(copy)) != known:
            failures.append("the copy is not as it was: a fault stayed in")
    for line in failures:
        print(f"self-test: {line}")
    if not failures:
        print(f"lint: its self-test put in {len(FAULTS)} faults, and each was named")
    return 1 if failures else 0
