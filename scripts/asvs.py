"""Makes docs/asvs.md of docs/asvs.toml, on standard output.

Fails on an item whose tests are not in the source: a test that is renamed or removed takes its
item along, so the table never claims what nothing shows.
"""

import re
import sys
import tomllib
from pathlib import Path

TEST = re.compile(r"^\s*(?:pub(?:\(crate\))? )?(?:async )?fn ([a-z0-9_]+)\(", re.MULTILINE)


def tests(root):
    """Every function of the source that a test can be, with its file."""
    found = {}
    for path in sorted(root.glob("crates/**/*.rs")):
        text = path.read_text(encoding="utf-8")
        is_test = "tests" in path.parts or "#[test]" in text or "#[tokio::test]" in text
        if is_test:
            for name in TEST.findall(text):
                found.setdefault(name, path.relative_to(root))
    return found


def key(item):
    return [int(part) for part in item["id"].split(".")]


def main():
    root = Path(__file__).resolve().parent.parent
    items = tomllib.loads((root / "docs/asvs.toml").read_text(encoding="utf-8"))["item"]
    known = tests(root)
    missing = [
        f"{item['id']}: {name}"
        for item in items
        for name in item.get("tests", [])
        if name not in known
    ]
    if missing:
        sys.exit("docs/asvs.toml names tests that do not exist: " + ", ".join(missing))
    met = sum(1 for item in items if item.get("tests"))
    print("# ASVS 5.0.0")
    print()
    print("Made from [asvs.toml](asvs.toml) by `scripts/generate.sh`. An item is met when the tests")
    print("that show it exist and pass; items of the standard that are not listed were not looked at.")
    print(f"Met: {met} of {len(items)}.")
    print()
    print("| item | what | shown by | |")
    print("|---|---|---|---|")
    for item in sorted(items, key=key):
        names = item.get("tests", [])
        shown = "<br>".join(f"`{name}` ({known[name]})" for name in names)
        state = "met" if names else "**not met**"
        note = f"; {item['note']}" if "note" in item else ""
        print(f"| v5.0.0-{item['id']} | {item['what']} | {shown} | {state}{note} |")


if __name__ == "__main__":
    main()
