"""Holds the architecture (design, section 3): where things stand, who imports whom, and what a table file may do."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse import contract
from lakehouse.engines.spelling import refused
from lakehouse.scaffold import words

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

HOME = Path(__file__).parents[1]
LAYERS = ("bronze", "silver", "gold")
READS = {"bronze": {"landing"}, "silver": {"bronze", "silver", "conf"}, "gold": {"silver", "gold", "conf"}}
STANDARD = tuple(sys.stdlib_module_names)

# What touches storage, a clock, chance, the session, or starts a job: a table file does none of it.
FORBIDDEN = {
    "read", "readStream", "write", "writeStream", "writeTo", "save", "saveAsTable", "toTable", "load", "insertInto",
    "collect", "toPandas", "toArrow", "toLocalIterator", "take", "head", "tail", "show", "isEmpty", "foreach",
    "foreachPartition", "cache", "persist", "unpersist", "checkpoint", "localCheckpoint", "createTempView",
    "createOrReplaceTempView", "SparkSession", "sparkSession", "sparkContext", "builder", "getOrCreate",
    "getActiveSession", "newSession", "createDataFrame", "sql", "rdd", "current_timestamp", "current_date",
    "localtimestamp", "unix_timestamp", "now", "today", "utcnow", "environ", "getenv", "rand", "randn", "uuid",
    "shuffle", "sample", "monotonically_increasing_id", "input_file_name", "spark_partition_id",
}  # fmt: skip
FORBIDDEN_SQL = re.compile(
    r"\b(current_timestamp|current_date|curdate|localtimestamp|now|rand|randn|uuid|monotonically_increasing_id)\b"
)


def code(*folders: str) -> dict[str, ast.Module]:
    """The modules of these folders as syntax trees, by path, e.g. silver/orders.py."""
    paths = [path for folder in folders for path in sorted((HOME / folder).rglob("*.py"))]
    return {str(path.relative_to(HOME)): parsed(path) for path in paths if path.name != "__init__.py"}


@cache
def parsed(path: Path) -> ast.Module:
    """Once for all tests, which only read it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def build_of(tree: ast.Module) -> ast.FunctionDef:
    return next(function for function in functions(tree) if function.name == "build")


@cache
def imports(tree: ast.Module) -> frozenset[str]:
    """Every imported name with its module, wherever it stands, e.g. lakehouse.transforms.average."""
    nodes = list(ast.walk(tree))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {
        f"{'.' * node.level}{node.module or ''}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return frozenset(whole | parts)


def outside(names: AbstractSet[str], *allowed: str) -> set[str]:
    return {name for name in names if not any(f"{name}.".startswith(f"{module}.") for module in allowed)}


def texts(tree: ast.Module) -> list[str]:
    """Every text of the code; docstrings are for people."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [constant.value for constant in constants if isinstance(constant.value, str)]


@cache
def table_names() -> frozenset[str]:
    confs = [path for layer in LAYERS for path in (HOME / "conf" / layer).glob("*.yml")]
    return frozenset(f"{path.parent.name}.{path.stem}" for path in confs)


def files_of(folder: str) -> set[str]:
    """Without what every folder may hold: __init__.py, conftest.py and compiled code."""
    names = {path.name for path in (HOME / folder).iterdir()} if (HOME / folder).is_dir() else set()
    return names - {"__init__.py", "conftest.py", "__pycache__"}


def test_every_table_has_a_contract_a_module_and_a_test_and_none_of_these_stands_alone() -> None:
    tables = {layer: {name.split(".")[1] for name in table_names() if name.startswith(layer)} for layer in LAYERS}
    for layer, names in tables.items():
        assert names, f"conf/{layer} is empty"
        assert files_of(f"conf/{layer}") == {f"{name}.yml" for name in names}
        assert files_of(layer) == {f"{name}.py" for name in names}
        assert files_of(f"tests/{layer}") == {f"test_{name}.py" for name in names}


def test_every_amount_and_share_of_gold_says_what_it_is_measured_in() -> None:
    promised = {name: one.columns for name, one in contract.load(HOME / "conf").items() if name.startswith("gold")}
    without = [
        f"{name}.{column}"
        for name, columns in promised.items()
        for column, promise in columns.items()
        if promise.type.startswith("decimal") and not promise.measured_in
    ]
    assert not without


def test_a_column_that_may_be_about_people_by_its_name_says_whether_it_is() -> None:
    silent = [
        f"{table}.{name}"
        for table, promise in contract.load(HOME / "conf").items()
        for name, column in promise.columns.items()
        if (words.PERSONAL - words.WHO).intersection(name.split("_")) and "personal" not in column.model_fields_set
    ]
    assert not silent, "`personal: true` keeps its values out of reports and pages; false where it is about nobody"


def test_a_tables_docstring_says_what_one_row_is() -> None:
    for path, tree in code(*LAYERS).items():
        name = path.removesuffix(".py").replace("/", ".")
        assert (ast.get_docstring(tree) or "").startswith(f"{name}: one row per "), path


def test_build_is_the_first_function_and_no_class_hides_one() -> None:
    for path, tree in code(*LAYERS).items():
        assert functions(tree)[0].name == "build", path
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)], path


def test_only_silver_tables_written_latest_repair() -> None:
    for path, tree in code(*LAYERS).items():
        if "repair" in {function.name for function in functions(tree)}:
            contract = (HOME / "conf" / path).with_suffix(".yml").read_text(encoding="utf-8")
            assert re.search(r"^write: latest\b", contract, re.MULTILINE), path


def test_a_module_of_a_table_can_be_imported_without_a_session() -> None:
    for path, tree in code(*LAYERS).items():
        outer = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
        used = [node.id for statement in outer for node in ast.walk(statement) if isinstance(node, ast.Name)]
        assert "F" not in used, path


def test_tables_import_only_pyspark_the_transforms_and_the_standard_library() -> None:
    for path, tree in code(*LAYERS).items():
        assert not outside(imports(tree), "pyspark", "lakehouse.transforms", *STANDARD), path


def test_the_transforms_import_only_pyspark_and_the_standard_library() -> None:
    (tree,) = (tree for path, tree in code("lakehouse").items() if path == "lakehouse/transforms.py")
    assert not outside(imports(tree), "pyspark", *STANDARD)


def test_the_core_imports_neither_jobs_nor_tables() -> None:
    for path, tree in code("lakehouse").items():
        assert not imports(tree) - outside(imports(tree), "jobs", "tests", *LAYERS), path


def test_jobs_choose_tables_by_name_and_import_none() -> None:
    for path, tree in code("jobs").items():
        assert not imports(tree) - outside(imports(tree), "tests", *LAYERS), path


def test_the_core_names_no_table() -> None:
    names = {re.escape(name).replace(r"\.", "[._/]") for name in table_names()}
    for path, tree in code("lakehouse").items():
        named = [text for text in texts(tree) if re.search(rf"\b({'|'.join(names)})\b", text)]
        assert not named, path


def test_a_table_reads_its_own_layer_the_one_below_and_conf() -> None:
    for path, tree in code(*LAYERS).items():
        arguments = build_of(tree).args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        assert names, path
        assert {name.split("_")[0] for name in names} <= READS[path.split("/")[0]], path
        assert [arguments.vararg, arguments.kwarg, arguments.defaults] == [None, None, []], path


def test_a_table_asks_neither_storage_nor_clock_nor_chance_and_starts_no_job() -> None:
    for path, tree in code(*LAYERS).items():
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not (attributes | names | {name.split(".")[-1] for name in imports(tree)}) & FORBIDDEN, path
        assert not [text for text in texts(tree) if FORBIDDEN_SQL.search(text)], path


def test_a_table_counts_in_aggregates_only_and_takes_no_first_row() -> None:
    for path, tree in code(*LAYERS).items():
        counts = [
            node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in {"count", "first"}
        ]
        assert {ast.unparse(node) for node in counts} <= {"F.count"}, path


def test_a_build_ends_in_the_select_or_agg_that_is_its_schema() -> None:
    for path, tree in code("silver", "gold").items():
        last = build_of(tree).body[-1]
        assert isinstance(last, ast.Return), path
        assert isinstance(last.value, ast.Call), path
        assert isinstance(last.value.func, ast.Attribute), path
        assert last.value.func.attr in {"select", "agg"}, path


def spelled() -> dict[str, ast.Module]:
    """The code that computes with frames, on either engine: all but the engines'."""
    every = code(*LAYERS, "lakehouse")
    return {path: tree for path, tree in every.items() if not path.startswith("lakehouse/engines/")}


def sql_texts() -> dict[str, list[str]]:
    """Every SQL text of a contract, by its table."""
    found: dict[str, list[str]] = {}
    for name, one in contract.load(HOME / "conf").items():
        checks = [text for check in one.checks.values() for text in (check.this, check.that) if text]
        units = [text for reach in one.inputs.values() for text in reach.unit.values()]
        rules = [text for rule in one.rules.values() for text in (rule.check, rule.says) if text]
        found[name] = [*rules, *checks, *units, *one.document.values()]
    return found


def test_code_uses_only_functions_that_both_engines_compute_alike() -> None:
    wrong = {path: found for path, tree in spelled().items() if (found := refused(tree))}
    assert not wrong, "spell it as lakehouse/engines/spelling.py says"


def test_contracts_use_only_functions_that_both_engines_compute_alike() -> None:
    wrong = {
        name: found for name, texts in sql_texts().items() if (found := [one for t in texts for one in refused(t)])
    }
    assert not wrong, "spell it as lakehouse/engines/spelling.py says"


def test_tables_do_not_divide() -> None:
    """A quotient of decimals has other digits on each engine: transforms.quotient, share and average have the same."""
    for path, tree in spelled().items():
        if path.startswith(("silver", "gold", "lakehouse/transforms")):
            assert not [
                node
                for node in ast.walk(tree)
                if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
            ], path


def test_tables_gather_no_group_in_one_row() -> None:
    """What belongs to no order, or to one product, only grows: a list of it is a row that no memory holds.

    But for a pair of currencies, which has one rate a day.
    """
    for path, tree in code(*LAYERS).items():
        if path == "silver/judged_rates.py":
            continue
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"collect_list", "collect_set"}, path


def test_no_sum_takes_what_contracts_call_a_bigint_or_a_wide_decimal() -> None:
    """Such a sum begins again at the other end, without a word: transforms.whole_sum does not."""
    promised = {
        (name, column.type) for one in contract.load(HOME / "conf").values() for name, column in one.columns.items()
    }
    too_wide = {
        name
        for name, kind in promised
        if kind == "bigint" or ((digits := re.search(r"\((\d+),", kind)) and int(digits[1]) > 28)
    }
    for path, tree in spelled().items():
        sums = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "F.sum"]
        added = {one.value for call in sums for one in ast.walk(call) if isinstance(one, ast.Constant)}
        assert not added & too_wide, path


FLOORS = (
    "store",
    "delta",
    "engines",
    "readers",
    "intake",
    "sources",
    "writes",
    "documents",
    "events",
    "lineage",
    "audit",
    "runs",
    "recovery",
    "serving",
    "proof",
    "causes",
    "alerts",
    "metrics",
    "scaffold",
)  # each may import those before it
OF_THE_JVM = {"_jdf", "_jvm", "_jsc", "sparkContext", "newSession", "persist", "localCheckpoint"}
MOST_MODULES, MOST_LINES = 8, 1_600
DESCRIBED = "described"  # stands on the ground: contracts are made of it
GROUND = (
    "conf",
    "contract",
    "errors",
    "formula",
    "graph",
    "logs",
    "markets",
    "transforms",
)


def floor_of(module: str) -> str:
    """The floor of `lakehouse.writes.units` is writes, that of lakehouse.contract the ground, which has no name."""
    _, name, *_ = *module.split("."), ""
    return name if name in FLOORS else ""


def test_every_module_of_the_core_stands_on_a_floor() -> None:
    rooms = {path.name for path in (HOME / "lakehouse").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == {*FLOORS, DESCRIBED}
    assert {path.stem for path in (HOME / "lakehouse").glob("*.py")} == {*GROUND, "__init__"}


def packages() -> dict[str, list[Path]]:
    """The packages of the core and of jobs with their own modules; what spark-submit starts is a line each."""
    found = {str(path.parent.relative_to(HOME)): path.parent for path in HOME.glob("[lj]*/**/__init__.py")}
    return {
        name: [one for one in folder.glob("*.py") if not one.name.startswith(("__init__", "run_"))]
        for name, folder in found.items()
        if name.startswith(("lakehouse", "jobs"))
    }


def test_a_package_says_what_it_is_for_and_is_read_in_one_sitting() -> None:
    """More means that two ideas live there; one module is no room. The core's ground is entered module by module."""
    for name, modules in packages().items():
        assert ast.get_docstring(ast.parse((HOME / name / "__init__.py").read_text(encoding="utf-8"))), name
        assert len(modules) != 1, name
        assert len(modules) <= MOST_MODULES, name
        lines = sum(len(one.read_text(encoding="utf-8").splitlines()) for one in modules)
        assert lines <= MOST_LINES or name == "lakehouse", (name, lines)


def test_tests_of_the_core_and_of_jobs_stand_where_their_modules_do() -> None:
    known = packages()
    for path in (HOME / "tests").glob("[lj]*/**/test_*.py"):
        room = str(path.parent.relative_to(HOME / "tests"))
        assert room in known, path


def test_rooms_of_the_core_do_not_import_each_other_in_a_circle() -> None:
    """A room and the floor that it is on are one house: modules of both are looked at above."""
    graph: dict[str, set[str]] = {}
    known = packages()
    for path, tree in code("lakehouse").items():
        room = str(Path(path).parent)
        folders = {name.replace(".", "/") for name in imports(tree)}
        named = {one for name in folders for one in (*map(str, Path(name).parents), name) if one in known}
        graph.setdefault(room, set()).update(
            one for one in named if not (f"{one}/".startswith(f"{room}/") or f"{room}/".startswith(f"{one}/"))
        )
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_floors_import_only_those_below_them() -> None:
    order = ["", *FLOORS]
    for path, tree in code("lakehouse").items():
        own = floor_of(path.removesuffix(".py").replace("/", "."))
        named = {name for name in imports(tree) if name.startswith("lakehouse.")}
        above = {one for one in map(floor_of, named) if order.index(one) > order.index(own)}
        assert not above, (path, above)


def test_modules_of_the_core_do_not_import_each_other_in_a_circle() -> None:
    known = {path.removesuffix(".py").replace("/", ".") for path in code("lakehouse")}
    graph = {}
    for path, tree in code("lakehouse").items():
        names = imports(tree)
        modules = {one for name in names for one in (name, name.rpartition(".")[0]) if one in known}
        graph[path.removesuffix(".py").replace("/", ".")] = modules - {path.removesuffix(".py").replace("/", ".")}
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_engines_are_named_on_their_floor_alone() -> None:
    """Sail and Spark's JVM in their rooms of engines/, delta-rs in delta/."""
    for path, tree in code("lakehouse", "jobs", *LAYERS).items():
        names = imports(tree)
        if not path.startswith("lakehouse/engines/native/"):
            assert not names - outside(names, "pysail", "pyspark.sql.connect"), path
        if not path.startswith(("lakehouse/engines/spark/", "lakehouse/engines/protocol.py")):  # which words its errors
            assert not names - outside(names, "py4j", "delta"), path
            attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not attributes & OF_THE_JVM, path
        if not path.startswith("lakehouse/delta/"):
            assert not names - outside(names, "deltalake"), path


def test_no_possessive_group_holds_a_choice() -> None:
    """Python 3.11.0 to 3.11.4 match `(a|b)*+` wrongly, in silence (python/cpython 106052); Debian 12 has 3.11.2."""
    possessive = re.compile(r"\((?:\?[:P<])?([^()]*)\)[*+?]\+")
    for path, tree in code("lakehouse", "jobs", *LAYERS).items():
        for text in texts(tree):
            assert not [inside for inside in possessive.findall(text) if "|" in inside or "?" in inside], (path, text)
