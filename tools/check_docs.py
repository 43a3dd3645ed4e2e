"""Whether the documentation names everything there is, and every link in it leads somewhere.

Compares README.md, CHANGELOG.md and docs/ with the code itself; needs no server. Prints one line
for each thing that is missing, and exits with 1 if there are any.
"""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App

from sayso.cli import COMMANDS
from sayso.cli.app import build
from sayso.domain.events import EventType
from sayso.errors import HTTP_STATUS, SaysoError
from sayso.server.app import ROUTES, Surface
from sayso.server.problems import status_of
from sayso.settings import SETTINGS, Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "sayso"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\[]*\]\((?P<target>[^()\s]+)\)")
_HEADING = re.compile(r"^(?P<marks>#+) (?P<text>.+)$", re.MULTILINE)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


def main() -> int:
    """Run all checks; the exit status."""
    problems = [
        problem
        for check in (
            settings,
            error_classes,
            error_codes,
            event_types,
            commands,
            routes,
            links,
            tree,
            layers,
            index,
            examples,
            changelog,
            docstrings,
        )
        for problem in check()
    ]
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} things are missing from the documentation.")
        return 1
    print(f"The documentation is complete: {len(PAGES)} pages.")
    return 0


def settings() -> Iterator[str]:
    """Each setting has its row, as the code has it."""
    text = read(DOCS / "settings.md")
    arguments = options_of(build()["serve"])
    for name, setting in SETTINGS.items():
        option = f"--{name.replace('_', '-')}"
        environment = ", ".join(f"`{variable}`" for variable in setting.environment)
        shown = f" `{option}` |" if option in arguments else " |"
        row = f"| `{name}` |{shown} {environment} | {default_of(name)} | {setting.help} |"
        if row not in text.splitlines():
            yield f"docs/settings.md: the setting {name!r} needs the row: {row}"


def default_of(name: str) -> str:
    """A setting's default, as the table shows it."""
    value = getattr(Settings(), name)
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in ((), "", None):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(f'{each:g}' for each in value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def error_classes() -> Iterator[str]:
    """Each class has a row with its code and status, and stands in the tree."""
    text = read(DOCS / "errors.md")
    for kind in subclasses(SaysoError):
        row = f"| `{kind.__name__}` | `{kind.code}` | {HTTP_STATUS.get(kind)} |"
        if row not in text:
            yield f"docs/errors.md: the class {kind.__name__} needs a row that begins: {row}"
        if not re.search(rf"^[ │├└─]*{kind.__name__}\b", text, re.MULTILINE):
            yield f"docs/errors.md: the class {kind.__name__} is not in the tree"


def error_codes() -> Iterator[str]:
    """Each code that is given where an error is raised has a row with its class and status."""
    text = read(DOCS / "errors.md")
    by_name = {kind.__name__: kind for kind in subclasses(SaysoError)}
    used: set[tuple[str, str]] = set()
    for path in SOURCE.rglob("*.py"):
        for call in ast.walk(parse(path)):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            for keyword in call.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    used.add((str(keyword.value.value), call.func.id))
    for code, name in sorted(used):
        status = status_of(by_name[name].__new__(by_name[name]))
        if f"| `{code}` | `{name}` | {status}" not in text:
            yield f"docs/errors.md: the code needs a row: | `{code}` | `{name}` | {status} |"


def event_types() -> Iterator[str]:
    """Each type has a row."""
    text = read(DOCS / "events.md")
    for kind in EventType:
        if f"| `{kind}` |" not in text:
            yield f"docs/events.md: the event {kind!r} needs a row"


def commands() -> Iterator[str]:
    """Each command has a section, in which each of its options stands."""
    sections = sections_of(DOCS / "cli.md")
    for words, app in all_commands():
        title = " ".join(["sayso", *words])
        section = sections.get(title)
        if section is None:
            yield f"docs/cli.md: the command needs a section: {title}"
            continue
        for option in sorted(options_of(app)):
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", section):
                yield f"docs/cli.md: the section {title!r} does not name {option}"


def all_commands() -> Iterator[tuple[tuple[str, ...], App]]:
    """The command tree, flat."""
    app = build()
    for name in COMMANDS:
        yield (name,), app[name]
        for inner in app[name]:
            if not inner.startswith("-"):
                yield (name, inner), app[name][inner]


def options_of(app: App) -> set[str]:
    """The options of one command."""
    if app.default_command is None:
        return set()
    named = [name for argument in app.assemble_argument_collection() for name in argument.names]
    return {name for name in named if name.startswith("--")}


def routes() -> Iterator[str]:
    """Each route stands in a table of the page that it belongs to."""
    pages = {Surface.API: "http.md", Surface.LOOPGATE: "loopgate.md", Surface.PAGE: "inbox.md"}
    documented = {page: set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", read(DOCS / page), re.MULTILINE))
                  for page in pages.values()}  # fmt: skip
    real = {
        "http.md": {"WS /api/v1/stream"},
        "loopgate.md": set[str](),
        "inbox.md": {"GET /dev/gallery"},
    }
    for entry in ROUTES:
        real[pages[entry.surface]].add(f"{entry.method} {entry.path}")
    for page, named in documented.items():
        for route in sorted(real[page] - named):
            yield f"docs/{page}: the route needs a row: {route}"
        for route in sorted(named - real[page]):
            yield f"docs/{page}: there is no such route: {route}"


def links() -> Iterator[str]:
    """Each link within the repository leads to a file, and to a heading of it."""
    for page in PAGES:
        for found in _LINK.finditer(without_code(page)):
            target = found["target"]
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                yield f"{name_of(page)}: there is no {target!r}"
            elif anchor and anchor not in anchors_of(file):
                yield f"{name_of(page)}: {name_of(file)} has no heading for {anchor!r}"


def tree() -> Iterator[str]:
    """The drawn tree has each file of the packages that it opens, and no other."""
    drawn = sections_of(DOCS / "architecture.md").get("The tree", "")
    named = set(re.findall(r"[\w/]+\.py\b|(?<!/)\b\w+/(?=[ \n])", drawn))
    opened = [SOURCE, *(SOURCE / name for name in ("domain", "stores", "signals", "broker"))]
    opened += [SOURCE / "server", SOURCE / "client"]
    real = {
        path.name if path.is_file() else f"{path.name}/"
        for folder in opened
        for path in folder.iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }
    for name in sorted(real - named - {"__init__.py", "__main__.py", "version.py"}):
        yield f"docs/architecture.md: the tree lacks {name}"
    for name in sorted(named - real - {"__init__.py"}):
        if not list(SOURCE.rglob(name.rstrip("/"))):
            yield f"docs/architecture.md: the tree has {name}, and the code has not"


def layers() -> Iterator[str]:
    """The block of layers is the contract in pyproject.toml."""
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    wanted = next(c["layers"] for c in contracts if c["type"] == "layers")
    blocks = _FENCE.findall(sections_of(DOCS / "architecture.md").get("Who may import whom", ""))
    if not any(block.splitlines()[1:-1] == wanted for block in blocks):
        yield "docs/architecture.md: the layers are not those of pyproject.toml: " + " / ".join(
            wanted
        )


def index() -> Iterator[str]:
    """The read-me links to each page."""
    linked = {
        found["target"].partition("#")[0] for found in _LINK.finditer(read(ROOT / "README.md"))
    }
    for page in DOCS.glob("*.md"):
        if f"docs/{page.name}" not in linked:
            yield f"README.md: the documentation list lacks docs/{page.name}"


def examples() -> Iterator[str]:
    """The read-me links to each example."""
    text = read(ROOT / "README.md")
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix in (".py", ".sh") and f"(examples/{path.name})" not in text:
            yield f"README.md: the documentation list lacks examples/{path.name}"


def changelog() -> Iterator[str]:
    """The version has a section."""
    version = importlib.metadata.version("sayso")
    if not re.search(rf"^## \[{re.escape(version)}\]", read(ROOT / "CHANGELOG.md"), re.MULTILINE):
        yield f"CHANGELOG.md: the version {version} needs a section"


def docstrings() -> Iterator[str]:
    """Each module and class says what it is."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = parse(path)
        if not ast.get_docstring(tree):
            yield f"{name_of(path)}: the module has no docstring"
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield f"{name_of(path)}:{node.lineno}: the class {node.name} has no docstring"


def sections_of(page: Path) -> dict[str, str]:
    """The text below each heading, up to the next one of any level."""
    text = read(page)
    code = [found.span() for found in _FENCE.finditer(text)]
    headings = [
        found
        for found in _HEADING.finditer(text)
        if not any(start <= found.start() < end for start, end in code)
    ]
    ends = [found.start() for found in headings[1:]] + [len(text)]
    return {
        found["text"]: text[found.end() : end] for found, end in zip(headings, ends, strict=True)
    }


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = [found["text"] for found in _HEADING.finditer(without_code(page))]
    return {_NOT_IN_ANCHORS.sub("", text.lower()).replace(" ", "-") for text in headings}


def subclasses(kind: type[SaysoError]) -> Iterator[type[SaysoError]]:
    """The class and all below it."""
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


def without_code(page: Path) -> str:
    """The prose of a page."""
    return _FENCE.sub("", read(page))


def read(path: Path) -> str:
    """The text of a page; none if there is no such page."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def parse(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def pyproject() -> dict[str, dict[str, dict[str, list[dict[str, list[str]]]]]]:
    """The project's own description."""
    return tomllib.loads(read(ROOT / "pyproject.toml"))


def name_of(path: Path) -> str:
    """A path as it is told."""
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
