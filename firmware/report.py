# SPDX-License-Identifier: MIT
"""The report of an acceptance run: one HTML file for a screen and for paper, and a text for a terminal.

`./inv report` shows the last run, `./inv report --compare` what differs from the last good run before it. The page is
rendered from the verdict alone, so that it can be made again at any time. Readable without colour and without a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2

from firmware import paths, self_test
from firmware.history import Change, History, compare
from firmware.self_test import SelfTest
from firmware.verdict import Case, Step, Verdict, load

MARKS = {"passed": "✓", "failed": "✗", "blocked": "∅", "skipped": "-"}
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(paths.ROOT / "templates" / "report"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=True,
)


def write(verdict: Verdict, stem: Path, history: History | None = None) -> list[Change]:
    """Write `<stem>.json` and `<stem>.html`, keep the run in the history; what differs from the last good run."""
    history = history or History()
    changes = compare(verdict, history.before(verdict))
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(verdict.text(), encoding="utf-8")
    stem.with_suffix(".html").write_text(page(verdict, changes, self_test.load(stem.parent)), encoding="utf-8")
    history.append(verdict)
    return changes


def page(verdict: Verdict, changes: Sequence[Change] = (), self_test: SelfTest | None = None) -> str:
    """The report as one HTML file; `self_test` is the last one of the suite at this place."""
    return _environment.get_template("acceptance.html.j2").render(
        verdict=verdict,
        changes=changes,
        promises=by_promise(verdict.cases),
        marks=MARKS,
        flat=flat,
        self_test=self_test,
    )


def by_promise(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Cases grouped by the promise that they show, in their order."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.promise, []).append(case)
    return found


def flat(steps: Sequence[Step], depth: int = 0) -> Iterator[tuple[int, Step]]:
    """Steps with their depth, in their order."""
    for step in steps:
        yield depth, step
        yield from flat(step.steps, depth + 1)


def text(verdict: Verdict) -> str:
    """The report for a terminal: what did not pass, and figures."""
    lines = [verdict.line(), f"  began {verdict.began}, tree {verdict.identity.tree}, host {verdict.identity.host}"]
    for promise, cases in by_promise(verdict.cases).items():
        passed = sum(case.outcome == "passed" for case in cases)
        lines.append(f"  {promise:16} {passed} of {len(cases)} passed")
        lines += [f"    {MARKS[c.outcome]} {c.name}: {reason(c)}" for c in cases if c.outcome != "passed"]
    for (case, name), measure in verdict.measures().items():
        lines.append(f"  {name:40} {measure.value:12g} {measure.unit:8} {case}")
    return "\n".join(lines)


def reason(case: Case) -> str:
    """Why a case did not pass, in one line."""
    if case.outcome == "blocked":
        return f"blocked by {case.cause}"
    return (case.reason.strip().splitlines() or ["no reason was said"])[0]


def differences(changes: Sequence[Change], earlier: Sequence[Verdict]) -> str:
    """What differs from the last good run, for a terminal."""
    if not earlier:
        return "no good run before this one at this place: nothing to compare with"
    head = f"compared with {earlier[0].identity.version} of {earlier[0].began} ({len(earlier)} good runs known)"
    lines = [
        f"  {'WORSE ' if change.worse else 'better'} {change.case} {change.name}: {change.said}" for change in changes
    ]
    return "\n".join([head, *(lines or ["  no difference that means anything"])])


def show(board: str, with_comparison: bool = False) -> bool:
    """Print the last run's report; with a comparison, whether nothing got worse. Raises UserError: no run yet."""
    verdict = load(paths.BUILD / board / "reports" / "acceptance.json")
    print(text(verdict))
    if not with_comparison:
        return verdict.good
    earlier = History().before(verdict)
    changes = compare(verdict, earlier)
    print(differences(changes, earlier))
    return not any(change.worse for change in changes)
