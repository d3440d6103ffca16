"""Each rule of docker/prometheus by numbers of each minute: when it fires, with which words, and when not yet."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.tools import unpacked

RULES = Path(__file__).parents[3] / "docker" / "prometheus" / "rules.yml"
TABLE = '{table="gold.totals"}'


class Case(NamedTuple):
    """Of these series, in promtool's words, the rule is silent at a minute, and fires at another with this summary."""

    rule: str
    series: dict[str, str]
    silent: int
    fires: int
    summary: str
    labels: dict[str, str] = {}  # noqa: RUF012


CASES = [
    Case("LakehouseDown", {"lakehouse_up": "1+0x5 0+0x9"}, 7, 8, "The lake cannot be read"),
    Case("LakehouseSilent", {"lakehouse_up": "1+0x5 stale"}, 10, 11, "Nobody tells how the lake is"),
    Case(
        "LakehouseSilent",  # a file that cron writes no more
        {"lakehouse_up": "1+0x40", "lakehouse_looked_timestamp": "60+0x40"},
        21,
        22,
        "Nobody tells how the lake is",
    ),
    Case("LakehouseNeverSucceeded", {}, 14, 15, "No run has ever succeeded, as far as anybody tells"),
    Case(
        "LakehouseRunLate",
        {"lakehouse_last_success_timestamp": f"0+0x{27 * 60}"},
        26 * 60,
        26 * 60 + 1,
        "The last run that succeeded ended 1d 2h 1m 0s ago",
    ),
    Case(
        "LakehouseProblem",
        {
            'lakehouse_problems{kind="check", severity="warning"}': "0+0x5 2+0x5",
            'lakehouse_problems{kind="never_started", severity="critical"}': "1+0x10",
        },
        6,
        7,
        "Problems of the kind check: 2",
        {"kind": "check", "severity": "warning"},
    ),
    Case(
        "LakehouseDiffers",
        {f"lakehouse_verified_equal{TABLE}": "1+0x5 0+0x5"},
        5,
        6,
        "gold.totals is not what its rebuild is",
        {"table": "gold.totals"},
    ),
    Case(
        "LakehousePartUnknown",
        {'lakehouse_part_unknown{part="rounds"}': "1+0x20"},
        9,
        10,
        "rounds cannot be looked at",
        {"part": "rounds"},
    ),
    Case(
        "LakehouseRunSlow",
        {f"lakehouse_run_seconds{TABLE}": "30+0x120 200+0x60"},
        120 + 15,
        120 + 16,
        "Tables took 3m 20s when they were made last, three times as long as usual",
    ),
    Case(
        "LakehouseDiskFills",
        {
            'lakehouse_disk_free_bytes{path="/full"}': "1000-1x120",  # in 17 hours
            'lakehouse_disk_free_bytes{path="/large"}': "2000-1x120",  # in 33
        },
        60,
        61,
        "/full is full within a day, as it goes",
        {"path": "/full"},
    ),
]
RECORDED = {
    "lakehouse:last_success_age:seconds": ({"lakehouse_last_success_timestamp": "0+0x60"}, "", 3600),
    "lakehouse:source_age:seconds": ({f"lakehouse_source_delivered_timestamp{TABLE}": "600+0x60"}, TABLE, 3000),
    "lakehouse:table_rejected:ratio": (
        {f"lakehouse_table_rows{TABLE}": "90+0x60", f"lakehouse_table_rejected_rows{TABLE}": "10+0x60"}
        | dict.fromkeys(
            ('lakehouse_table_rows{table="of none"}', 'lakehouse_table_rejected_rows{table="of none"}'), "0+0x60"
        ),
        TABLE,
        0.1,
    ),
    "lakehouse:run:seconds": (
        {f"lakehouse_run_seconds{TABLE}": "2+0x60", 'lakehouse_run_seconds{table="silver.orders"}': "3+0x60"},
        "",
        5,
    ),
}


def test_every_rule_fires_when_it_should_with_its_words_and_not_before(tmp_path: Path) -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    alerts = {one["alert"]: one for one in group["rules"] if "alert" in one}
    assert {one.rule for one in CASES} == alerts.keys()
    assert {one["record"] for one in group["rules"] if "record" in one} == RECORDED.keys()
    tests = [of(one.series) | {"alert_rule_test": expected(one, alerts[one.rule])} for one in CASES]
    for name, (series, labels, value) in RECORDED.items():
        sample = {"labels": f"{name}{labels}", "value": value}
        tests.append(of(series) | {"promql_expr_test": [{"expr": name, "eval_time": "1h", "exp_samples": [sample]}]})
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    said = subprocess.run([unpacked("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def of(series: dict[str, str]) -> dict[str, Any]:
    return {"interval": "1m", "input_series": [{"series": name, "values": text} for name, text in series.items()]}


def expected(case: Case, rule: dict[str, Any]) -> list[dict[str, Any]]:
    told = {
        "exp_labels": rule["labels"] | case.labels,
        "exp_annotations": {
            "summary": case.summary,
            "action": rule["annotations"]["action"].replace("{{ $labels.table }}", "gold.totals"),
        },
    }
    return [
        {"eval_time": f"{at}m", "alertname": case.rule, "exp_alerts": alerts}
        for at, alerts in ((case.silent, []), (case.fires, [told]))
    ]
