"""The Spark session: Java, jars, S3, settings. `python -m lakehouse.engines.spark.jvm` prepares them ahead of time."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError
from lakehouse.store import storage
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import SparkSession

PACKAGES = (
    "io.delta:delta-spark_4.2_2.13:4.4.0",
    "org.apache.hadoop:hadoop-aws:3.5.0",
    "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",
    "software.amazon.awssdk:s3:2.35.4",
    "software.amazon.awssdk:s3-transfer-manager:2.35.4",
    "software.amazon.awssdk:sts:2.35.4",
)
# What Spark ships itself (often newer), and the SDK bundle of over 300 MB of which the subset above is enough.
EXCLUDES = (
    "software.amazon.awssdk:bundle",
    "at.yawk.lz4:*",
    "com.fasterxml.jackson.core:*",
    "com.fasterxml.jackson.datatype:*",
    "com.github.luben:*",
    "com.google.code.findbugs:*",
    "commons-codec:*",
    "commons-logging:*",
    "io.netty:*",
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.hadoop:hadoop-common",
    "org.apache.httpcomponents:*",
    "org.apache.logging.log4j:*",
    "org.apache.parquet:*",
    "org.apache.spark:spark-core_2.13",
    "org.apache.spark:spark-sql_2.13",
    "org.lz4:*",
    "org.roaringbitmap:*",
    "org.scala-lang:*",
    "org.scala-lang.modules:*",
    "org.slf4j:*",
    "org.xerial.snappy:*",
)
LOCK = Path(__file__).with_name("jars.lock")
LOG4J = Path(__file__).with_name("log4j2.properties")
# Delta's log as several drivers can write it, with what it is compiled from; it is in the lock like the others.
LOG_STORE, LOG_STORE_SOURCE = (
    Path(__file__).with_name(name) for name in ("lakehouse-logstore.jar", "ConditionalLogStore.java")
)
OLDEST_JAVA = 17
KEYS = {f"spark.hadoop.fs.s3a.{name}" for name in ("access.key", "secret.key", "session.token")}


def start(*, long: bool = False) -> SparkSession:
    """The one session of this process; settings that change results are here, those for speed come from outside.

    `long`: it is kept, or reads so much that compiling its code well is worth the time.

    Under spark-submit the master, memory and jars are spark-submit's, and only what the tables need is added.
    LAKEHOUSE_DRIVER_MEMORY (3g), LAKEHOUSE_MASTER (local[*]) and LAKEHOUSE_JAVA_OPTIONS size a session started here;
    what its JVM says goes to spark.log in the cache folder, or to the terminal with LAKEHOUSE_LOG=info.

    Raises LakehouseError where others started this process's Spark, a notebook say, without what our commits need.
    """
    from pyspark import SparkContext  # noqa: PLC0415
    from pyspark.logger import PySparkLogger  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415  half a second that plan and status do not pay

    # Workers run this Python, which has what reads the files; on a cluster PYSPARK_PYTHON names one that has it too.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if running := SparkContext._active_spark_context:  # noqa: SLF001
        _check_settings(dict(running.getConf().getAll()))
    settings = _settings_of_results() | _settings_of_s3()
    # Neither here already, nor started by spark-submit: this process starts the JVM.
    if not running and "PYSPARK_GATEWAY_PORT" not in os.environ:
        check_java()
        settings |= _settings_of_a_local_jvm(long=long)
        _launch(settings)
    # It writes every error as a page of JSON to the terminal, before anyone can say it in words.
    PySparkLogger.getLogger("SQLQueryContextLogger").disabled = "LAKEHOUSE_LOG" not in os.environ
    builder = SparkSession.builder.appName("lakehouse")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    if "LAKEHOUSE_LOG" not in os.environ:  # where Java ends, the server of its counters prints a page as well
        session.sparkContext._accumulatorServer.handle_error = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001
    return session


def _check_settings(running: Mapping[str, str]) -> None:
    """They cannot be changed any more: Delta would commit by its own log store, and turns compute by other rules."""
    if lacking := [f"{name}={value}" for name, value in _settings_of_results().items() if running.get(name) != value]:
        raise LakehouseError(
            "This process's Spark was started without the settings by which no commit is lost and all results are the "
            "same. Start anew (of a notebook: the kernel), and let lakehouse start it before others use it; or start "
            f"it with the jars of `lakehouse jars`, and with these settings: {' '.join(lacking)}"
        )


def _launch(settings: dict[str, str]) -> None:
    """Start the JVM quietly: it cannot be kept from warning of its own modules on the terminal."""
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415
    from pyspark.errors import PySparkRuntimeError  # noqa: PLC0415
    from pyspark.java_gateway import launch_gateway  # noqa: PLC0415

    # The user's own Spark settings must not change results, nor another Spark of the machine its jars; and a folder
    # with files in it on the class path would rule out the class archive.
    os.environ["SPARK_CONF_DIR"] = str(_empty_folder())
    os.environ.pop("SPARK_HOME", None)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    conf = SparkConf(loadDefaults=False).setAppName("lakehouse").setAll(list(settings.items()))
    # Java's arguments are seen by every user of the machine: the keys follow through the connection to it.
    shown = [(name, value) for name, value in settings.items() if name not in KEYS]
    log = cache_folder() / "spark.log"
    with log.open("wb") as said:
        # A group of its own: what stops this process and its group must not take Java from under a table's write.
        how = {"start_new_session": True} | ({} if "LAKEHOUSE_LOG" in os.environ else {"stderr": said})
        try:
            gateway = launch_gateway(SparkConf(loadDefaults=False).setAll(shown), how)  # type: ignore[no-untyped-call]
        except PySparkRuntimeError as error:
            last = " ".join(log.read_text(errors="replace").splitlines()[-3:])
            raise LakehouseError(
                f"Java did not start: {last or error} See {log}, and LAKEHOUSE_JAVA_OPTIONS."
            ) from error
    SparkContext(conf=conf, gateway=gateway)


def _empty_folder() -> Path:
    folder = cache_folder() / "no-spark-conf"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _settings_of_results() -> dict[str, str]:
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # Delta's own log stores let another driver, or our own committer, be overwritten.
        **{f"spark.delta.logStore.{scheme}.impl": "lakehouse.ConditionalLogStore" for scheme in ("s3a", "file")},
        # And where a commit is refused all the same, Delta looks whether it is its own.
        "spark.databricks.delta.commit.idempotencyCheck.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        # Else '${env:AWS_SECRET_ACCESS_KEY}' in a question is what the environment says.
        "spark.sql.variable.substitute": "false",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Inferring filters from long chains of parsed columns takes longer than any filter saves, without bound.
        "spark.sql.constraintPropagation.enabled": "false",
        # A small Delta log needs no 50 tasks to be read, again for each scan.
        "spark.databricks.delta.snapshotPartitions": "1",
        # Deletion vectors of 64 KB or more break readers of the change feed (delta-io/delta issue 5662).
        "spark.sql.files.maxRecordsPerFile": "400000",
    }


def _settings_of_a_local_jvm(*, long: bool) -> dict[str, str]:
    java_options = [
        f"-Dlog4j2.configurationFile={LOG4J}",
        "-Duser.timezone=UTC",
        "-XX:ReservedCodeCacheSize=256m",
        "-XX:+UseParallelGC",
        # Spark makes one method of a wide stage, which Java would otherwise interpret for being too long.
        "-XX:-DontCompileHugeMethods",
        *([] if long else ["-XX:TieredStopAtLevel=1"]),  # most of a short run is cold code
        *_class_data_sharing(),
        *os.environ.get("LAKEHOUSE_JAVA_OPTIONS", "").split(),
    ]
    tasks = str(max(2, min(8, os.cpu_count() or 2)))
    return {
        "spark.master": os.environ.get("LAKEHOUSE_MASTER", "local[*]"),
        "spark.driver.memory": os.environ.get("LAKEHOUSE_DRIVER_MEMORY", "3g"),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": ":".join(str(jar) for jar in jars()),
        "spark.driver.extraJavaOptions": " ".join(java_options),
        # Each aggregation, sort and hash table begins with a page, of 64 MB if nobody says so, which must be zeroed.
        "spark.buffer.pageSize": "2m",
        "spark.sql.shuffle.partitions": tasks,
        # VACUUM lists a table's folder by as many tasks, of which there would be 10,000.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": tasks,
        "spark.sql.warehouse.dir": str(cache_folder() / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _settings_of_s3() -> dict[str, str]:
    """From the usual AWS_* variables; Spark redacts these keys wherever it shows its settings."""
    settings = {
        "fs.s3a.endpoint.region": storage.region(),
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.establish.timeout": "5s",
        # By Hadoop's own limits a store that is not well is asked for hours.
        "fs.s3a.connection.timeout": "60s",
        "fs.s3a.attempts.maximum": "3",
        "fs.s3a.retry.limit": "4",
        "fs.s3a.retry.throttle.limit": "6",
    }
    named = {
        "fs.s3a.endpoint": storage.endpoint_url(),
        "fs.s3a.access.key": os.environ.get("AWS_ACCESS_KEY_ID"),
        "fs.s3a.secret.key": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "fs.s3a.session.token": os.environ.get("AWS_SESSION_TOKEN"),
    }
    settings |= {key: value for key, value in named.items() if value}
    return {f"spark.hadoop.{key}": value for key, value in settings.items()}


def java() -> str:
    """The program that JAVA_HOME or else PATH names, there or not."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else shutil.which("java") or "java"


@cache
def check_java(of: str = "Spark") -> str:
    """The version text of the Java that Spark will use; an error that says how to get one where there is none."""
    advice = (
        f"Install Java {OLDEST_JAVA} or newer (Debian: apt install openjdk-17-jre-headless; macOS: brew install "
        "openjdk@17) and see that `java -version` answers, or set JAVA_HOME to its folder."
    )
    try:
        answer = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError) as error:
        place = f"JAVA_HOME={home}" if (home := os.environ.get("JAVA_HOME")) else "PATH"
        raise LakehouseError(f"{of} needs Java, and there is none that works in {place}. {advice}") from error
    version = re.search(r'version "(\d+)', answer)
    if not version or int(version[1]) < OLDEST_JAVA:
        raise LakehouseError(
            f"{of} needs Java {OLDEST_JAVA} or newer; this one is: {answer.strip().partition(chr(10))[0]}. {advice}"
        )
    return answer


def _tell(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def jars(say: Callable[[str], None] = _tell) -> list[Path]:
    """The locked jars, resolved once by coordinates into the cache, and compared with the lock at every start (30 ms).

    Raises LakehouseError that names each jar that is damaged, missing or not in the lock.
    """
    lock = _read_lock()
    folder = cache_folder() / "jars" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    if not folder.exists():
        say(f"Fetching {len(lock)} jars (37 MB, once) into {folder}")
        _resolve_into(folder)
    found = {jar.name: _sha256(jar) for jar in folder.glob("*.jar")}
    wrong = [f"{name} is missing" for name in lock.keys() - found.keys()]
    wrong += [f"{name} is not in the lock" for name in found.keys() - lock.keys()]
    wrong += [f"{name} is damaged or different" for name in lock.keys() & found.keys() if lock[name] != found[name]]
    if wrong:
        raise LakehouseError(
            f"The jars in {folder} are not those of {LOCK.name}: {'; '.join(sorted(wrong))}. Delete that folder "
            "to fetch them again; if that does not help, the registry serves other files than the lock was made from."
        )
    return [folder / name for name in sorted(lock)]


def _read_lock() -> dict[str, str]:
    lines = LOCK.read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def write_lock() -> None:
    """Resolve anew and write the lock: for the maintainer who changed PACKAGES or EXCLUDES."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "jars")
        _resolve_into(folder)
        _lock({jar.name: _sha256(jar) for jar in folder.glob("*.jar")})


def _lock(digests: Mapping[str, str]) -> None:
    LOCK.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())))


def build_log_store() -> None:
    """Compile it into the package and lock it: for the maintainer who changed its source."""
    compile_log_store(LOG_STORE)
    _lock(_read_lock() | {LOG_STORE.name: _sha256(LOG_STORE)})


def compile_log_store(jar: Path, *sources: Path) -> None:
    """By the JDK on PATH, to the same bytes each time. Nobody else needs a JDK: the jar is in the package.

    `sources`: these instead of it, as tests change it.
    """
    known = ":".join([*(str(one) for one in jars()), f"{_spark_home()}/jars/*"])
    with tempfile.TemporaryDirectory() as classes:
        javac = ["javac", "-g:none", "--release", str(OLDEST_JAVA), "-cp", known, "-d", classes]
        subprocess.run([*javac, *map(str, sources or [LOG_STORE_SOURCE])], check=True)
        # What a manifest says, and how bytes are compressed, differs from one JDK to the next.
        how = ["--create", "--no-manifest", "--no-compress", "--date=1980-01-01T00:00:02Z", "--file", str(jar)]
        subprocess.run(["jar", *how, "-C", classes, "."], check=True)  # noqa: S607


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _resolve_into(folder: Path) -> None:
    """By the Ivy that ships inside pyspark, in a folder of its own; renamed into place only when it is whole."""
    check_java()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        nothing = Path(scratch, "nothing.py")
        nothing.touch()
        answer = subprocess.run(
            [
                str(_spark_home() / "bin" / "spark-submit"),
                "--conf",
                f"spark.jars.ivy={scratch}/ivy",
                "--packages",
                ",".join(PACKAGES),
                "--exclude-packages",
                ",".join(EXCLUDES),
                str(nothing),
            ],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"SPARK_HOME": str(_spark_home()), "PYSPARK_PYTHON": sys.executable},
        )
        if answer.returncode:
            why = [line for line in answer.stderr.splitlines() if "unresolved" in line or "not found" in line]
            raise LakehouseError(
                "The jars could not be fetched from Maven Central: "
                f"{' '.join(why[:3]) or answer.stderr[-500:]} Check the network, or copy {folder} from elsewhere."
            )
        shutil.copy(LOG_STORE, Path(scratch, "ivy", "jars"))
        Path(scratch, "ivy", "jars").rename(folder)


IVY_SETTINGS = """<ivysettings><settings defaultResolver="central"/>
<resolvers><ibiblio name="central" m2compatible="true" usepoms="false"/></resolvers></ivysettings>"""
IVY_MODULE = """<ivy-module version="2.0"><info organisation="lakehouse" module="fetched"/><dependencies>{files}
</dependencies></ivy-module>"""
IVY_FILE = """<dependency org="{group}" name="{name}" rev="{version}" transitive="false">
<artifact name="{name}" type="{ending}" ext="{ending}"/></dependency>"""


def fetched(java: Path, digests: Mapping[str, str], ending: str, folder: Path) -> list[Path]:
    """These files of coordinates `group:name:version`, without what they need; by the same Ivy as the jars.

    Raises LakehouseError where one cannot be had, or is another one than was locked.
    """
    settings, module = folder / "ivysettings.xml", folder / "ivy.xml"
    settings.write_text(IVY_SETTINGS)
    parts = [coordinates.split(":") for coordinates in digests]
    wanted = [IVY_FILE.format(group=one[0], name=one[1], version=one[2], ending=ending) for one in parts]
    module.write_text(IVY_MODULE.format(files="".join(wanted)))
    (ivy,) = (_spark_home() / "jars").glob("ivy-*.jar")
    command = [str(java), "-jar", str(ivy), "-warn", "-settings", str(settings), "-cache", str(folder / "ivy")]
    command += ["-ivy", str(module), "-retrieve", f"{folder}/[artifact]-[revision].[ext]"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    files = {
        coordinates: folder / f"{one[1]}-{one[2]}.{ending}" for coordinates, one in zip(digests, parts, strict=True)
    }
    if lacking := [coordinates for coordinates, file in files.items() if not file.exists()]:
        why = [line.strip() for line in answer.stdout.splitlines() if "not found" in line or "UNRESOLVED" in line]
        raise LakehouseError(
            f"{lacking[0]} is not to be had from Maven Central: {' '.join(why[:3]) or answer.stderr[-300:]} Check the "
            "network, and the room on the disk, and start again."
        )
    if other := [coordinates for coordinates, file in files.items() if _sha256(file) != digests[coordinates]]:
        raise LakehouseError(
            f"{other[0]} is not the file that was locked. It was damaged on its way, or the registry serves another "
            "one: start again."
        )
    return list(files.values())


def _spark_home() -> Path:
    import pyspark  # noqa: PLC0415

    return Path(pyspark.__file__).parent


def prepare(say: Callable[[str], None] = _tell) -> None:
    """Fetch the jars and make the archive of loaded classes, where they are not there yet. Both are done once."""
    jars(say)
    if not _archive().exists():
        say("Preparing Java's class archive (about 25 s, once): every later start of Spark takes half as long")
        _archive().parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", WARM_UP], check=True, capture_output=True)
        _archive().with_suffix(".new").rename(_archive())


# A process of its own, since the archive is written when its JVM ends: it loads the classes that a first run loads.
WARM_UP = """
import tempfile
from lakehouse.engines.spark import jvm
jvm.RECORDING = True
spark = jvm.start()
with tempfile.TemporaryDirectory() as folder:
    table = folder + "/table"
    rows = spark.range(10).selectExpr("id", "cast(id % 3 as string) as k", "cast(id as decimal(18,2)) as amount")
    for _ in range(2):
        rows.write.format("delta").option("delta.enableDeletionVectors", "true").mode("append").save(table)
    spark.sql(f"merge into delta.`{table}` t using (select 5 as id) s on t.id = s.id when matched then delete")
    spark.read.format("delta").load(table).groupBy("k").agg({"amount": "sum"}).collect()
spark.stop()
"""
RECORDING = False


def _class_data_sharing() -> list[str]:
    """Spark starts from the archive where there is one (measured: 12.3 s become 7.0 s to a first merge)."""
    quiet = ["-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off"]
    if RECORDING:
        return [f"-XX:ArchiveClassesAtExit={_archive().with_suffix('.new')}", *quiet]
    return [f"-XX:SharedArchiveFile={_archive()}", "-Xshare:auto", *quiet] if _archive().exists() else []


def _archive() -> Path:
    facts = check_java() + LOCK.read_text() + str(_spark_home()) + str(cache_folder())
    return cache_folder() / "cds" / f"{hashlib.sha256(facts.encode()).hexdigest()[:12]}.jsa"


if __name__ == "__main__":
    prepare()
