"""What is to be told to whom: problems that a route has not heard of, and those of which it heard and that are over."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse import logs
from lakehouse.alerts import problems, routes
from lakehouse.alerts.record import CLEARED, FAILED, RAISED, Record, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lakehouse.alerts.facts import Facts
    from lakehouse.alerts.problems import Problem
    from lakehouse.alerts.routes import Tone
    from lakehouse.alerts.rules import Alerts, Route

MOST = 20  # notices of a route at a time: of hundreds the worst come first, and the others when it is looked again
LONGEST = 1500  # characters of what happened
TONES: Mapping[str, Tone] = {"critical": "failure", "warning": "warning"}


@dataclass(frozen=True)
class Looked:
    """What a look found: problems, what went out, what did not (its `words` say why), and what `waits` for the next."""

    problems: Sequence[Problem]
    sent: Sequence[Told] = ()
    failed: Sequence[Told] = ()
    waits: int = 0


def tell(alerts: Alerts, facts: Facts) -> Looked:
    """Send what is due, then record that it was sent: killed in between, the same is sent once more, and never lost.

    Raises nothing that a route does; a route that does not take a notice gets no other one now.
    """
    found, unjudged = problems.found(facts, alerts), problems.unjudged(facts)
    kept = Record(facts.root, is_there=not facts.unreachable)
    if not any(due(alerts, found, unjudged, kept.heard().told).values()):
        return Looked(found)
    with kept.claimed():  # then another process may have told it meanwhile
        sent, failed, waits = list[Told](), list[Told](), 0
        known, failing = kept.heard()
        for name, notices in due(alerts, found, unjudged, known).items():
            waits += max(0, len(notices) - MOST)
            for notice in notices[:MOST]:
                said = {"route": name, "kind": notice.kind, "about": notice.about, "severity": notice.severity}
                if why := _send(alerts.routes[name], notice, facts.root):
                    logs.event("notice not taken", logging.WARNING, **said, error=why)
                    failed.append(replace(notice, event=FAILED, words=why))
                    break
                logs.event(f"notice {notice.event}", **said)
                sent.append(replace(notice, at=datetime.now(UTC)))
        kept.add([*sent, *(one for one in failed if not _is_said(one, failing.get(one.route)))])
    return Looked(found, sent, failed, waits)


def due(
    alerts: Alerts, found: Sequence[Problem], unjudged: Iterable[str], told: Mapping[tuple[str, str], Told]
) -> dict[str, list[Told]]:
    """By route the notices that it should get, the worst first: each problem is raised once, and once over."""
    return {name: _due(name, route, found, {*unjudged}, told) for name, route in alerts.routes.items()}


def _due(
    name: str, route: Route, found: Sequence[Problem], unjudged: set[str], told: Mapping[tuple[str, str], Told]
) -> list[Told]:
    raised = {key for (key, where), one in told.items() if where == name and one.event == RAISED}
    there = {one.key for one in found}
    new = [one for one in found if _is_for(route, one) and one.key not in raised]
    worst_first = sorted(new, key=lambda one: one.severity != "critical")
    over = [one for (key, where), one in told.items() if where == name and key in raised - there]
    return [
        *(_raised(one, name) for one in worst_first),
        *(_over(one) for one in over if one.kind not in unjudged),
    ]


def _is_for(route: Route, problem: Problem) -> bool:
    is_bad_enough = problem.severity == "critical" or route.severity == "warning"
    return is_bad_enough and (not route.kinds or problem.kind in route.kinds)


def words(problem: Problem) -> str:
    """What a person reads: what happened, since when, how bad that is, what to do, and where to look."""
    what = problem.what if len(problem.what) <= LONGEST else f"{problem.what[:LONGEST]} ..."
    since = f"Since {problem.since:%Y-%m-%d %H:%M} UTC." if problem.since else ""
    lines = (what, since, problem.usual, f"To do: {problem.remedy}", f"To look: {problem.command}")
    return "\n".join(line for line in lines if line)


def _raised(one: Problem, route: str) -> Told:
    now = datetime.now(UTC)
    return Told(now, route, RAISED, one.kind, one.of, one.severity, one.since, one.title, words(one))


def _over(one: Told) -> Told:
    since = f"It was told at {one.at:%Y-%m-%d %H:%M} UTC, and is so no more."
    return replace(one, event=CLEARED, title=f"over: {one.title}", words=since)


def _send(route: Route, notice: Told, root: str) -> str:
    tone: Tone = "success" if notice.event == CLEARED else TONES[notice.severity]
    return routes.send(route.url, f"[lakehouse] {shown(notice.title)}", f"{shown(notice.words)}\nLake: {root}", tone)


def shown(text: str) -> str:
    """As a mail or chat shows it: names of files may hold what neither may get."""
    return "\n".join("".join(one if one.isprintable() else " " for one in line) for line in text.split("\n"))


def _is_said(one: Told, before: Told | None) -> bool:
    return before is not None and before.words == one.words


def test(route: Route, root: str) -> str:
    """Send a notice that says that it is a test; why the route did not take it, empty where it did."""
    body = f"This is a test: notices of this lake come by this route.\nLake: {root}"
    return routes.send(route.url, "[lakehouse] test", body, "info")
