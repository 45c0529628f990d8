"""The whole loop on this machine: events, forecast, decision, a promotion, a second one, a revert, drift.

Every step runs the command that a person would run, and fails the demo when the command does not say what the
step promises. State lives under `.demo/`; what the collector acknowledged stays there from run to run.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

import httpx
from tqdm import tqdm

from scripts.demo import ports
from scripts.demo.local_services import LocalServices, NotReady, Service
from scripts.demo.packages import SERVICES, STEPS, oncall_service, settled
from scripts.demo.story import Failed, Story, benchmark_table
from scripts.demo.tools import CONSOLE_USER, Tools, months_between, shown
from scripts.release_file import Release

ROOT = Path(__file__).parents[2]
PORTS = {
    "collector": 8000,
    "forecast": 8001,
    "decision": 8002,
    "console": 8003,
    "oncall": 8004,
    "mlflow": 5000,
}
HTTP_EVENTS = 2_000
MONTHS_NEEDED = 5
CLOSED_GATE = "gate_better_than_champion"
WAIVER = (
    "--waive",
    "better_than_champion",
    "--by",
    "demo",
    "--reason",
    "to show the path; not a reason to release",
)
ASK_THREADS = 4
WIND_DOWN_SECONDS = 15.0
LEFTOVERS = ("-m apps.", "mlflow", ports.UNSEEN)
"""Holders of a port that a killed demo left: they end by themselves, one that is ending may not be seen any more."""


class Demo:
    """One run; `run()` does the steps in order."""

    def __init__(self, options: argparse.Namespace, story: Story) -> None:
        self.options, self.story = options, story
        self.package = SERVICES[options.package]
        self.ports = {
            name: port + options.port_offset
            for name, port in PORTS.items()
            if name in (*self.package, "mlflow")
        }
        self.state = state_folder(options)
        self.tools = Tools(self.state, self.ports, story)
        self.services: LocalServices | None = None
        self.allowed: tuple[str, ...] = ()

    def run(self) -> None:
        """Every step; raises `Failed` at the first that does not hold."""
        self.tools.prepare()
        self.story.say(f"what a command line below needs: export ML_STATE={shown(str(self.state))}")
        source = self._events()
        self._start_services()
        self._collect_and_ingest(source)
        months = self._panel()
        if len(months) < MONTHS_NEEDED:
            raise Failed(f"the panel has {len(months)} complete months, two models need {MONTHS_NEEDED}")
        first = self._release("first", until=months[-2])
        products = self._ask(first)
        second = self._release("second", until=months[-1])
        self._revert(second, back_to=first)
        if not self.options.once:
            self.tools.start_mlflow()
        self._drift()
        if "oncall" in self.package:
            self._operate()
        self._finish(products)

    def stop(self) -> None:
        """Stop every process that this run started."""
        if self.services is not None:
            self.services.stop()
        self.tools.stop()

    def _events(self) -> Path:
        if self.options.events:
            self.story.step("read events", f"{self.options.events}")
            return Path(self.options.events)
        self.story.step(
            "make events", "a small shop: 200 products, 36 months, with views, carts, returns and prices"
        )
        source = self.state / "source"
        made = self.tools.ml("synthesize", "--out", str(source))
        self.story.say(f"{made['events']:,} events in {shown(str(source))}")
        return source

    def _start_services(self) -> None:
        others = [name for name in self.package if name != "forecast"]
        self.story.step("start services", f"{', '.join(others)}; forecast waits for a release")
        self.tools.new_forge()
        if "console" in self.package:
            made = self.tools.console_user()
            how = (
                f"with the password {made} (shown this once)" if made else "as before; FRESH=1 makes another"
            )
            self.story.say(f"console: sign in as {CONSOLE_USER} {how}")
        services = service_list(self.tools, self.ports, self.package)
        self.services = LocalServices(services, self.tools.read_release, self.state / "logs")
        self.services.start()
        for name in others:
            self.story.say(f"{name:<10} {self.services.url(name)}")

    def _collect_and_ingest(self, source: Path) -> None:
        named = self.tools.import_options(self.options)
        if "collector" in self.package:
            self.story.step(
                "collect", f"the newest {HTTP_EVENTS:,} events go through the collector over HTTP"
            )
            sent = self.tools.replay(source, HTTP_EVENTS, self._url("collector"), named)
            self.story.say(", ".join(f"{count:,} {status}" for status, count in sent.items()))
            self.story.step("ingest", "the inbox, then the whole file, into the lake: each event once")
            self._ingested("inbox", self.tools.ml("ingest"))
        else:
            self.story.step("ingest", "the whole file into the lake: each event once")
        self._ingested("file", self.tools.ml("ingest", "--events", str(source), *named))

    def _ingested(self, what: str, report: dict[str, Any]) -> None:
        refused = sum(report["refused"].values())
        reasons = (
            ", ".join(f"{reason} {count:,}" for reason, count in sorted(report["refused"].items())) or "none"
        )
        self.story.say(
            f"{what}: {report['rows']:,} rows = {report['accepted']:,} accepted"
            f" + {report['duplicate']:,} duplicate + {refused:,} refused ({reasons})"
        )
        if report["accepted"] + report["duplicate"] + refused != report["rows"]:
            raise Failed(f"{what}: accepted + duplicate + refused is not the number of rows")

    def _panel(self) -> list[str]:
        self.story.step("panel", "one row per product and month, from first sale to the last complete month")
        report = self.tools.ml("panel")
        months = months_between(report["first_month"], report["last_month"])
        self.story.say(
            f"{report['products']:,} products, {report['first_month']} to {report['last_month']},"
            f" {report['rows']:,} rows, data version {report['data_version']}"
        )
        self._judge_data()
        return months

    def _judge_data(self) -> None:
        """An old export is judged as of its newest event; one with faults is learned from, and the model says so."""
        report = self.tools.ml("quality", "--as-of", "newest", ok=(0, 1))
        self.story.say(f"quality gate: {quality_sentence(report)}")
        if report["verdict"] != "fail":
            return
        if not self.options.events:
            raise Failed("the quality gate fails on the events of the made-up shop")
        self.story.say("the demo goes on all the same, and the model keeps that it was allowed")
        self.allowed = ("--allow-failed-quality", "to show the path; not a reason to learn from it")

    def _release(self, which: str, until: str) -> Release:
        self.story.step(
            f"train the {which} model", f"as of the end of {until}: backtest, gate, register as challenger"
        )
        trained = self.tools.ml("train", "--until", until, *self.allowed, ok=(0, 1))
        self.story.show(benchmark_table(trained["benchmark"]))
        verdict = trained["verdict"]
        self.story.say(f"gate: {trained['candidate']} against {verdict['against']}: {gate_sentence(verdict)}")
        self.story.say(f"registered version {trained['version']}, sha256 {trained['sha256'][:16]}…")
        written = self.tools.ml("forecast", "--model", str(trained["version"]), "--until", until)
        self.story.say(f"snapshot: {written['products']:,} products for {written['month']}")
        return self._promote(which)

    def _promote(self, which: str) -> Release:
        self.story.step(
            f"promote the {which} model", "a branch, a commit of release.yaml and evidence, a merge"
        )
        wish = ("--model", "challenger", "--image-tag", self.tools.image_tag())
        opened = self.tools.promote("open", *wish, ok=(0, 1))
        if opened.get("reason") == CLOSED_GATE:
            self.story.say(f"{opened['error']}; the demo goes on with a waiver, which the evidence keeps")
            opened = self.tools.promote("open", *wish, *WAIVER)
        elif "error" in opened:
            raise Failed(opened["error"])
        text = self.tools.pull_request_text(opened["pull_request"])
        self.story.say(
            f"pull request {opened['pull_request']} by promoter: {opened['title']}; read it in {shown(str(text))}"
        )
        self.tools.promote("merge", str(opened["pull_request"]), "--approve-as", "approver")
        release = self.tools.read_release()
        self._served(release, "approved by approver, merged")
        return release

    def _served(self, release: Release, how: str) -> None:
        assert self.services is not None  # noqa: S101 - started before
        try:
            seconds = self.services.wait_for(release)
        except NotReady as error:
            raise Failed(str(error)) from None
        self.story.say(
            f"{how}; model {release.model_version} served {seconds:.1f} s later, seen in /model-info"
        )
        self.tools.ml("models", "--champion", str(release.model_version))

    def _ask(self, release: Release) -> list[str]:
        self.story.step("ask", "a forecast with its interval and a decision for every active product")
        forecast, decision = self._url("forecast"), self._url("decision")
        limits = httpx.Limits(max_connections=ASK_THREADS, max_keepalive_connections=ASK_THREADS)
        with httpx.Client(timeout=30, limits=limits) as client:
            products = self.tools.active_products(client, forecast)

            def ask(product: str) -> tuple[dict[str, Any], dict[str, Any]]:
                name = quote(product, safe="")
                return _asked(client, f"{forecast}/forecast/{name}"), _asked(
                    client, f"{decision}/decision/{name}"
                )

            with ThreadPoolExecutor(ASK_THREADS) as pool:
                answers = list(
                    tqdm(
                        pool.map(ask, products),
                        total=len(products),
                        unit=" products",
                        leave=False,
                        disable=None,
                    )
                )
        for told, decided in answers:
            if not told["p10"] <= told["p50"] <= told["p90"]:
                raise Failed(f"the quantiles of {told['product_id']} are not in order: {told}")
            if {told["model_version"], decided["model_version"]} != {release.model_version}:
                raise Failed(f"{told['product_id']} was not answered by model {release.model_version}")
        if not answers:
            raise Failed("the forecast service has no product")
        self.story.say(f"{len(answers):,} products answered, each with a forecast and a decision over HTTP")
        self.story.show_example(max(answers, key=lambda pair: float(pair[0]["p50"])))
        return products

    def _revert(self, second: Release, back_to: Release) -> None:
        self.story.step("git revert", f"model {second.model_version} out, model {back_to.model_version} back")
        commit = self.tools.git_revert()
        release = self.tools.read_release()
        if release != back_to:
            raise Failed(f"after the revert the release is {release}, expected {back_to}")
        self._served(release, f"reverted by {commit[:12]}")
        refused = self.tools.promote(
            "open", "--model", str(second.model_version), "--image-tag", second.image_tag, ok=(1,)
        )
        self.story.say(f"proposed again, it stays out: {refused['error']}")

    def _drift(self) -> None:
        self.story.step("drift", "the newest month as it was, and with demand nearly doubled")
        as_it_was = self.tools.ml("drift", ok=(0, 1))
        self.story.say(f"as it was: {drift_sentence(as_it_was)}")
        shifted = self.tools.ml("drift", "--multiply-units", "1.8", ok=(0, 1))
        self.story.say(f"times 1.8: {drift_sentence(shifted)}")
        if (
            shifted["answer"] != "drift" and not self.options.events
        ):  # a short real history may hold too little to tell
            raise Failed(f"the shifted month was not found: {shifted}")

    def _operate(self) -> None:
        self.story.step("operate", "every change is accounted for; an alarm reaches the on-call service")
        audited = self.tools.promote("audit")
        self.story.say(
            f"audit: {len(audited['deployments'])} deployments, {len(audited['findings'])} findings"
        )
        number = self.tools.test_page(self._url("oncall"))
        self.story.say(f"incident {number}: {settled(self._url('oncall'), self.tools.key(), number)}")

    def _finish(self, products: list[str]) -> None:
        self.story.step("look", "everything is up")
        if not self.options.once:
            self.tools.wait_for_mlflow()
        product = products[0] if products else ""
        pages = [
            ("console", "/"),
            ("console", f"/products/{quote(product)}"),
            ("console", "/data"),
            ("console", "/releases"),
        ]
        pages += [(name, "/openapi.json") for name in ("forecast", "decision", "collector", "oncall")]
        for name, path in pages if self.options.once else [*pages, ("mlflow", "/")]:
            if name in self.ports:
                self.story.say(f"{self._url(name)}{path}")
        self.story.done()

    def _url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"


def _asked(client: httpx.Client, url: str) -> dict[str, Any]:
    answer = client.get(url)
    if answer.status_code != httpx.codes.OK:
        raise Failed(f"{url} answered {answer.status_code}: {answer.text[:200]}")
    told: dict[str, Any] = answer.json()
    return told


def gate_sentence(verdict: dict[str, Any]) -> str:
    """The gate's answer and the numbers it rests on, where there are some."""
    answer = str(verdict["answer"]).replace("_", " ")
    if verdict["ratio"] is None or verdict["upper"] is None:
        return f"{answer} ({'; '.join(verdict['reasons'])})"
    bounds = f"95 % interval {verdict['lower']:.3f} to {verdict['upper']:.3f}"
    refused = f" ({'; '.join(verdict['reasons'][1:])})" if verdict["answer"] == "refused" else ""
    return f"{answer}, loss ratio {verdict['ratio']:.3f}, {bounds}{refused}"


def quality_sentence(report: dict[str, Any]) -> str:
    """The verdict, how many checks said what, and the reasons of those that found something."""
    checks = report["checks"]
    counts = Counter(check["verdict"] for check in checks)
    found = [
        f"; {check['name']}: {check['reason']}" for check in checks if check["verdict"] in {"fail", "warn"}
    ]
    return f"{report['verdict']} ({', '.join(f'{n} {verdict}' for verdict, n in counts.items())}){''.join(found)}"


def drift_sentence(verdict: dict[str, Any]) -> str:
    """The answer and what it rests on."""
    return f"{verdict['answer']}: {verdict['reason']}"


def service_list(tools: Tools, at: dict[str, int], package: tuple[str, ...]) -> list[Service]:
    """The services of a package, wired to one state folder."""
    urls = {name: f"http://127.0.0.1:{port}" for name, port in at.items()}
    store, key = str(tools.settings.model_store), tools.key()

    def from_release(release: Release) -> dict[str, str]:
        return {
            "FORECAST_MODEL_VERSION": str(release.model_version),
            "FORECAST_MODEL_SHA256": release.model_sha256,
            "FORECAST_IMAGE_TAG": release.image_tag,
        }

    collector = {
        "COLLECTOR_INBOX": str(tools.settings.inbox),
        "COLLECTOR_API_KEY": key,
        "COLLECTOR_PSEUDONYM_KEY": tools.settings.pseudonym_secret().decode(),
    }
    forecast = {"FORECAST_MODEL_STORE": store, "FORECAST_API_KEY": key}
    shown_by_console = [name for name in package if name != "console"]
    console = {f"CONSOLE_{name.upper()}_URL": urls[name] for name in shown_by_console}
    console |= {
        "CONSOLE_REPOSITORY": str(tools.forge),
        "CONSOLE_FORGE": str(tools.forge),
        "CONSOLE_MODEL_STORE": store,
        "CONSOLE_MODEL_REGISTRY": urls["mlflow"],
        "CONSOLE_REGISTRY_PAGE": urls["mlflow"],
        "CONSOLE_USERS_FILE": str(tools.console_users),
    }
    console |= {"CONSOLE_ONCALL_KEY": key} if "oncall" in package else {}
    decision = {"DECISION_FORECAST_URL": urls["forecast"]}
    made: dict[str, Callable[[], Service]] = {
        "collector": lambda: Service("collector", "apps.collector", at["collector"], collector),
        "forecast": lambda: Service("forecast", "apps.forecast", at["forecast"], forecast, from_release),
        "decision": lambda: Service("decision", "apps.decision", at["decision"], decision),
        "console": lambda: Service("console", "apps.console", at["console"], console),
        "oncall": lambda: oncall_service(
            tools.state, at["oncall"], key, urls["console"], tools.settings.shop_zone
        ),
    }
    return [made[name]() for name in package]


def state_folder(options: argparse.Namespace) -> Path:
    """One folder per source of events and set of ports, so different demos never share a lake."""
    name = "synthetic"
    if options.events:
        path = Path(options.events).resolve()
        name = f"{path.parent.name}-{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
    suffix = f"+{options.port_offset}" if options.port_offset else ""
    return Path(options.state).resolve() / f"{name}{suffix}"


@contextlib.contextmanager
def alone(state: Path, at: dict[str, int], offset: int) -> Iterator[None]:
    """Hold the state folder and know the ports are free, or say who has them.

    A demo that was killed leaves services that end by themselves within seconds; those are waited for.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        held = _try_lock(lock.fileno())
        deadline = time.monotonic() + (WIND_DOWN_SECONDS if held else 0)
        while busy := ports.taken(at):
            ours = all(any(trace in taken.holder for trace in LEFTOVERS) for taken in busy)
            if time.monotonic() > deadline or not ours:
                raise Failed(
                    "; ".join(map(str, busy))
                    + f"; stop it, or choose other ports: make demo PORT_OFFSET={offset + 100}"
                )
            time.sleep(0.2)
        while not held:
            if time.monotonic() > deadline + WIND_DOWN_SECONDS:
                raise Failed(
                    f"another demo works in {state}; stop it, or run: make demo PORT_OFFSET={offset + 100}"
                )
            time.sleep(0.2)
            held = _try_lock(lock.fileno())
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def parser() -> argparse.ArgumentParser:
    """The options that `make demo` hands on."""
    made = argparse.ArgumentParser(prog="make demo", description=__doc__.partition("\n\n")[0])
    made.add_argument("--once", action="store_true", help="end after the last step instead of staying up")
    made.add_argument("--fresh", action="store_true", help="forget what an earlier demo of this source kept")
    made.add_argument("--events", help="file or folder of Parquet or CSV; without it a small shop is made up")
    made.add_argument("--timezone", help="zone of times without one, for example Europe/London")
    made.add_argument("--currency", help="currency when the file has no such column, for example EUR")
    made.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN", help="name a column")
    made.add_argument("--allow", action="append", default=[], metavar="CHECK", help="pass over a file check")
    made.add_argument(
        "--package",
        choices=sorted(SERVICES),
        default="collect",
        help="base: forecasts and decisions; collect: own events and the console besides; operate: on-call besides"
        " (%(default)s)",
    )
    made.add_argument(
        "--state", default=str(ROOT / ".demo"), help="folder of what the demo keeps (%(default)s)"
    )
    made.add_argument("--port-offset", type=int, default=0, help="added to every port")
    return made


def main() -> int:
    """Run the demo; 0 when every step did what it says, 1 when one did not, 130 on Ctrl-C."""
    options = parser().parse_args()
    story = Story(total=STEPS[options.package])
    _stop_on_signals()
    demo = Demo(options, story)
    if options.fresh:
        shutil.rmtree(demo.state, ignore_errors=True)
    try:
        with alone(demo.state, demo.ports, options.port_offset):
            try:
                demo.run()
                if not options.once:
                    story.wait_for_interrupt()
            finally:
                demo.stop()
    except Failed as failed:
        story.fail(str(failed))
        return 1
    except KeyboardInterrupt:
        story.say("stopped; `make demo` goes on with the events that are kept")
        return 130
    return 0


def _stop_on_signals() -> None:
    """SIGTERM ends like Ctrl-C, and so does the end of `make`, which a kill would otherwise leave behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    if os.environ.get("MAKELEVEL"):
        parent = os.getppid()

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, name="watch-make", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
