"""`python -m scripts.observability`: what Prometheus, Grafana and Alertmanager are given, made of slo.yaml."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from scripts.errors import Refused
from scripts.observability import dashboards, probes, rules
from scripts.observability.objectives import FILE, FOLDER, Objectives, read

_HEAD = "# Made of slo.yaml by `python -m scripts.observability write`; do not edit.\n"
_EXAMPLES = """examples:
  python -m scripts.observability write          make rules.yaml, probes.yaml and dashboards/ anew
  python -m scripts.observability check          are they what slo.yaml and boards.yaml make? 1 if not
  python -m scripts.observability rules --out rules.yml      for a Prometheus without the operator (`rule_files`)

stdout is one JSON object. Exit code 0 is yes, 1 a no whose reason is in the JSON.
"""


class _Yaml(yaml.CSafeDumper):
    """Texts of several lines stay readable, and nothing is an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the name of the base class
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Yaml.add_representer(str, _text)


def dumped(value: Any) -> str:
    """YAML of plain values, always the same."""
    return yaml.dump(value, Dumper=_Yaml, sort_keys=False, width=10_000, allow_unicode=True)


def made(slo: Objectives) -> dict[str, str]:
    """Text by path inside the folder, of everything that is generated."""
    boards = {
        f"dashboards/{name}.json": json.dumps(dashboards.board(name, panels), indent=1, ensure_ascii=False)
        + "\n"
        for name, panels in dashboards.read(dashboards.FILE.read_text()).items()
    }
    manifests = {"rules.yaml": rules.manifest(slo), "probes.yaml": probes.manifest(slo)}
    return {name: _HEAD + dumped(manifest) for name, manifest in manifests.items()} | boards


def stale(slo: Objectives, folder: Path) -> list[str]:
    """Paths in a folder that are not what the objectives make, missing and left-over ones among them."""
    wanted = made(slo)
    there = {f"dashboards/{each.name}" for each in (folder / "dashboards").glob("*.json")}
    differ = {name for name, text in wanted.items() if not _same(folder / name, text)}
    return sorted(differ | (there - wanted.keys()))


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.observability",
        description="Prometheus rules of the objectives in slo.yaml, and Grafana dashboards of boards.yaml.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=["write", "check", "rules"])
    parser.add_argument("--slo", type=Path, default=FILE, metavar="FILE", help="the objectives")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where what is made lies")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where `rules` writes to")
    return parser


def run(arguments: list[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of one call.

    Raises:
        Refused: The objectives cannot be held by any rule.
    """
    options = _parser().parse_args(arguments)
    slo = read(options.slo.read_text())
    if options.verb == "check":
        found = stale(slo, options.folder)
        return int(bool(found)), {"stale": found}
    if options.verb == "rules":
        if options.out is None:
            raise Refused("bad_arguments", "rules needs --out FILE")
        options.out.write_text(dumped({"groups": rules.groups(slo)}))
        return 0, {"written": [str(options.out)]}
    written = made(slo)
    (options.folder / "dashboards").mkdir(exist_ok=True)
    for name in stale(slo, options.folder):
        if name in written:
            (options.folder / name).write_text(written[name])
        else:
            (options.folder / name).unlink()
    return 0, {"written": sorted(written)}


def main() -> int:
    """The process."""
    try:
        code, answer = run(sys.argv[1:])
    except Refused as refused:
        code, answer = 1, {"error": refused.reason, "reason": str(refused)}
    print(json.dumps(answer))
    return code


if __name__ == "__main__":
    sys.exit(main())
