#!/usr/bin/env python3
"""Writes what of the chart is made from elsewhere, or with --check says what is out of date:

    helm/flotilla/files                 deploy/prometheus/rules and deploy/grafana/dashboards, which a chart cannot reach
    helm/flotilla/values.schema.json    its part `config`, from deploy/flotilla.toml
    helm/flotilla/README.md             its table of values, from the comments in values.yaml
    deploy/kubernetes                   manifests for those without Helm, rendered from the chart
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "chart"))
import config_schema  # noqa: E402
import manifests  # noqa: E402
import values_table  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "flotilla"


def copies():
    for source, target in [("prometheus/rules", "rules"), ("grafana/dashboards", "dashboards")]:
        for path in sorted((ROOT / "deploy" / source).iterdir()):
            yield CHART / "files" / target / path.name, path.read_text()


def made():
    """All files, in an order in which each may read those before it; with what they are to hold."""
    yield from copies()
    schema = CHART / "values.schema.json"
    yield schema, config_schema.into(schema.read_text(), (ROOT / "deploy" / "flotilla.toml").read_text())
    readme = CHART / "README.md"
    yield readme, values_table.into(readme.read_text(), (CHART / "values.yaml").read_text())
    yield from manifests.rendered(ROOT)


def strays():
    """Files of directories that hold nothing else than what is made here."""
    expected = {path for path, _ in made()}
    for directory in [CHART / "files" / "rules", CHART / "files" / "dashboards", ROOT / "deploy" / "kubernetes"]:
        yield from (path for path in directory.iterdir() if path.suffix != ".md" and path not in expected)


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    stale = []
    for path, text in made():
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"written: {path.relative_to(ROOT)}")
    left = list(strays())
    if check and (stale or left):
        for path in stale + left:
            print(f"out of date: {path.relative_to(ROOT)}", file=sys.stderr)
        sys.exit("flotilla: run ./just chart, and look at what it changes")
    for path in left:
        path.unlink()
        print(f"removed: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
