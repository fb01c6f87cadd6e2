"""Whether the source tree has the structure that docs/ARCHITECTURE.md and CONTRIBUTING.md promise.

    python3 Scripts/structure [PROJECT]        one line for each fault, with file, line and what to do; 1 if there is one
    python3 Scripts/structure --self-test      puts one fault after another into copies of this project and sees each named

Reads text alone and builds nothing; what it holds the tree to is in Scripts/structure/rules.py.
"""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import boundaries  # noqa: E402
import documents  # noqa: E402
import limits  # noqa: E402
import package  # noqa: E402
import rooms  # noqa: E402
from swift_file import swift_file  # noqa: E402

SWIFT_ROOTS = ("Sources", "Tests", "Benchmarks/Sources", "Examples")
SCRIPT_ROOTS = ("Scripts", ".ci")


def _files(project, roots, suffix=""):
    for root in roots:
        for path in sorted((project / root).rglob(f"*{suffix}")):
            relative = path.relative_to(project)
            if path.is_file() and ".build" not in relative.parts and path.suffix != ".pyc":
                yield str(relative), path.read_text()


def faults(project):
    """All faults of a project, a line each."""
    texts = list(_files(project, SWIFT_ROOTS, ".swift"))
    texts += [(name, (project / name).read_text()) for name in ("Package.swift", "Benchmarks/Package.swift")
              if (project / name).is_file()]
    manifest = (project / "Package.swift").read_text()
    targets = package.targets(manifest)
    own = [target for target in targets if target.path.startswith("Sources/") and target.kind != "systemLibrary"]
    sources = [swift_file(path, text) for path, text in texts if path.startswith("Sources/")]
    files_of = {target.name: [file for file in sources if file.path.startswith(target.path + "/")] for target in own}

    yield from rooms.order(targets)
    for target in own:
        yield from rooms.imports(target, files_of[target.name], targets)
        yield from rooms.circles(target, files_of[target.name])
        yield from limits.stored_properties(files_of[target.name])
    yield from boundaries.imports(sources)
    yield from boundaries.system_calls(files_of.values())
    yield from limits.unlabelled_parameters(sources)
    yield from limits.unused_exceptions(files_of.values())
    for path, text in texts:
        yield from limits.columns(path, text.split("\n"))
    for path, text in texts + list(_files(project, SCRIPT_ROOTS)):
        yield from limits.file_length(path, text)

    current = documents.all_documents(project)
    yield from documents.citations(project, texts)
    yield from documents.links(project, current + documents.decisions(project))
    yield from documents.names(project, current, sources, [target.name for target in targets])
    architecture = "docs/ARCHITECTURE.md"
    yield from documents.graph(architecture, (project / architecture).read_text(), targets)


def main():
    arguments = sys.argv[1:]
    project = Path(__file__).resolve().parent.parent.parent
    if arguments == ["--self-test"]:
        import self_test
        sys.exit(self_test.run(project, faults))
    if len(arguments) > 1 or arguments and arguments[0].startswith("-"):
        sys.exit(__doc__)
    found = list(faults(Path(arguments[0]).resolve() if arguments else project))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
