"""Every sentence that can come to a page of the console, found in the source of whatever writes it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.repository.imports import ROOT

HOLE = "{}"
SPEAKERS = {
    "apps/console": (
        *("alarms", "bulk", "git_history", "kept", "model_registry", "proposals", "propose", "provider"),
        *("release_centre", "release_routes", "routes", "services", "sign_in", "sign_in_routes", "sources"),
    ),
    "apps/forecast": ("loaded", "routes", "serving", "stored_past", "stored_report"),
    "apps/decision": ("forecast_client", "portfolio"),
    "apps/oncall": ("database", "dead_man", "incidents", "senders"),
    "apps/chassis": (
        *("body_limit", "errors", "guard", "health", "limits", "problems", "signing_keys", "tokens"),
    ),
    "ml": (
        *(
            "bucket",
            "bundle",
            "errors",
            "folder",
            "gate",
            "guardrails",
            "location",
            "model_store",
            "signatures",
        ),
        "snapshot",
    ),
    "ml/data_gate": ("check", "daily", "gate", "presence", "report", "usual", "whole"),
    "ml/decisions": ("demand", "economics", "portfolio", "response", "water_filling"),
    "ml/drift": (
        "evidently_report",
        "forecast_drift",
        "input_drift",
        "occasions",
        "residual_drift",
        "verdict",
    ),
    "scripts": ("release_file",),
    "scripts/audit": ("deployment", "environment", "evidence", "ledgers", "report"),
    "scripts/evidence": ("candidate", "gates", "prometheus", "release_source", "rules", "soak"),
    "scripts/forges": ("answers", "by_address", "local", "rest", "transport"),
    "scripts/history": (
        *("deployment_history", "git", "merge_preview", "past_evidence", "recorded_evidence", "repository"),
    ),
    "scripts/images": ("image_registry", "image_signatures", "release_images", "signers"),
    "scripts/manifests": ("overlay", "render"),
    "scripts/promotion": (
        *("opening", "proposal", "pull_request", "rollback", "secret_shapes", "shown_diff", "taken_back"),
    ),
}
"""Modules by folder: what they refuse, find or judge is shown on a page."""

SILENT = {
    # When a process starts, on its standard error.
    *("apps/chassis/access.py", "apps/chassis/keys.py", "apps/chassis/server.py", "apps/chassis/settings.py"),
    *("apps/console/settings.py", "apps/oncall/rota.py", "apps/oncall/rota_file.py"),
    "apps/oncall/access.py",  # to Alertmanager
    "apps/forecast/shadow.py",  # in the log
    *("apps/forecast/schemas.py", "apps/decision/schemas.py"),  # of questions that the console does not ask
    "scripts/evidence/record.py",  # to `promote check`
}
"""Modules beside `SPEAKERS` that raise sentences which no page shows."""

LIBRARY_FOLDERS = {"ml", "scripts"}
"""Most modules in these refuse only whoever trains, imports or runs a command."""

NOT_SHOWN = {
    "apps/console/model_registry.py": {
        "the console moves no alias, neither {} to version {}",  # a defect
        "version_number DESC",
    },
    "apps/console/propose.py": {"%(levelname)s %(name)s %(message)s"},
    "apps/console/provider.py": {"openid profile"},
    "apps/console/release_routes.py": {'attachment; filename="{}"'},
    "apps/console/sources.py": {"Argo CD", "Bearer {}"},
    # Messages to those on call.
    "apps/oncall/incidents.py": {", round {}", "level {} of {}: {} is to answer", "resolved by {}"},
    "apps/chassis/guard.py": {"Tokens | None"},
    "apps/chassis/signing_keys.py": {
        'Bearer error="invalid_token"',
        # Only in the log.
        *("it answered more than {} bytes", "it answered no object", "it answered what is not JSON"),
        *("it answered {}", "its configuration names another issuer, or no keys"),
        *("its keys are not behind TLS", "no key of it can be used"),
    },
    # While a model or a snapshot is written.
    "ml/bundle.py": {"array of {} cannot be stored without pickle"},
    "ml/gate.py": {"losses, products and months differ in length: {}"},
    "ml/model_store.py": {"there is no key to sign with; name its file in ML_SIGNING_KEY_FILE"},
    "ml/signatures.py": {
        "{} is no private key in PEM without a password ({}); nothing was written",
    },
    "ml/snapshot.py": {"no stock data", "this forecast was made without the open month"},
    "ml/data_gate/report.py": {"not run"},
    "ml/decisions/response.py": {"a response needs a reference above 0 and a shape from 0 to 1"},
    # Pieces; what they become is in `COMPOSED`.
    "scripts/audit/deployment.py": {
        *("{} of #{} from branch {}", "{}, a plain revert that nobody approved", "{}, committed as {}"),
        *(
            "{}, and names #{}, which for the forge is {}",
            "{}, which is no pull request's merge",
        ),
    },
    "scripts/evidence/candidate.py": {"{} is {}"},
    "scripts/evidence/gates.py": {"at least", "at most", "{} is", "{} is {}"},
    "scripts/forges/transport.py": {"rate limit", "{} is {}"},
    "scripts/evidence/prometheus.py": {"Bearer {}"},
    "scripts/evidence/soak.py": {
        "(max_over_time({}) unless {} offset {}s)",
        "histogram_quantile(0.95, sum by (le) (rate({})))",
        "max by (state) (max_over_time(forecast_drift{{}}{}))",
        "sum by (status) ({} or increase({}))",
        "sum(sum_over_time({})) / sum(count_over_time({}))",
    },
    # The console approves and merges nothing.
    "scripts/forges/local.py": {
        *("#{} changes nothing", "#{} could not be merged: the trunk of {} cannot be moved"),
        *("#{} has head {}, the reviewed one was {}", "#{} is {} at {}, not open at {}"),
        "the trunk changed {} since #{} was opened; open the promotion again",
        "{} is the author of #{}; another account approves it",
        *("create {} {}", "create {}/head {}", "create {}/meta {}", "delete {} {}", "verify {} {}"),
        *("update {} {} {}", "update {}/meta {} {}", "environments: as they stand in the checkout\n"),
        "{} holds no files, the first commit needs some",
    },
    "scripts/forges/rest.py": {
        *("#{} has head {}, the reviewed one was {}", "#{} is {}, not open at {}", "{} at {}"),
        "#{} is not merged: {}; if {} changed the same files, open the promotion again",
        "#{} was merged but {} does not show it; ask again",
        "the approval of #{} by {} does not count: may this account write?",
        "{} is the author of #{}; another account approves it",
    },
    "scripts/history/git.py": {"--format=%(objectname) %(refname)", "--format=%H %ct%n%B"},
    # By these Git's own words are known.
    "scripts/history/repository.py": {
        *("Authentication failed", "could not read Username", "pre-receive hook declined"),
        *(f"returned error: {status}" for status in (301, 302, 307, 308, 401, 403, 404)),
    },
    # Tags are given where images are built.
    "scripts/images/image_registry.py": {
        *("Bearer {}", "the registry answers {} to tag {} of {}", "{}:{} is {} already, {} is {}"),
    },
    "scripts/manifests/render.py": {"kind: Secret", "{} after", "{} before"},
    # Texts of commits and pull requests, which stay as they were written.
    "scripts/promotion/opening.py": {
        'python -m scripts.promote rollback --environment {} --reason "…"',
        "{}\n\nRisk: {}\n\n{}",
    },
    "scripts/promotion/proposal.py": {"Superseded by `{}` ({}): {}."},
    "scripts/promotion/pull_request.py": {"{}: model {}, image {}"},
    "scripts/promotion/rollback.py": {"This reverts commit {}.", "{}: back to model {}, image {}"},
}
"""Texts of these modules that come to no page as a sentence of their own."""

_QUIET = {
    *("Counter", "Field", "Gauge", "Histogram", "Header", "Literal", "Path", "Query", "compile"),
    *("debug", "error", "exception", "info", "warning", "execute", "run", "_git"),
}
"""Calls whose texts no page shows: logs, settings, questions to programs."""


def of_source(text: str) -> set[str]:
    """Templates of the texts of a module that have more than one word, docstrings and logs left out."""
    tree = ast.parse(text)
    passed = set(_passed_over(tree))
    return {
        template
        for node in ast.walk(tree)
        if node not in passed and (template := _template(node)) and _is_sentence(template)
    }


def of_module(path: str) -> set[str]:
    """Those of a module of the tree."""
    return of_source((ROOT / path).read_text())


def of_rules() -> set[str]:
    """Templates of the summaries of all alerts."""
    groups = yaml.safe_load((ROOT / "environments/base/observability/rules.yaml").read_text())["spec"][
        "groups"
    ]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {re.sub(r"{{.*?}}", HOLE, rule["annotations"]["summary"]) for rule in rules}


def trail() -> set[str]:
    """What the on-call service writes into the trail of an incident."""
    tree = ast.parse((ROOT / "apps/oncall/incidents.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    recorded = [
        call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "_record"
    ]
    return {str(call.args[1].value) for call in recorded if isinstance(call.args[1], ast.Constant)}


def modules() -> list[str]:
    """Paths of all of `SPEAKERS`."""
    return [str(Path(folder, f"{name}.py")) for folder, names in SPEAKERS.items() for name in names]


def raised_of(text: str) -> set[str]:
    """Those of a module that it raises."""
    tree = ast.parse(text)
    passed = set(_passed_over(tree))
    raised = [part for node in ast.walk(tree) if isinstance(node, ast.Raise) for part in ast.walk(node)]
    templates = {_template(part) for part in raised if part not in passed}
    return {template for template in templates if template and _is_sentence(template)}


def unheard() -> set[str]:
    """Modules in the folders of `SPEAKERS` that raise a sentence and stand neither there nor in `SILENT`."""
    folders = [ROOT / folder for folder in SPEAKERS if folder not in LIBRARY_FOLDERS]
    raising = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in folder.glob("*.py")
        if raised_of(path.read_text())
    }
    return raising - set(modules()) - SILENT


def _template(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        pieces = [str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values]
        return re.sub(r"({}){2,}", HOLE, "".join(pieces))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"{[^{}]*}", HOLE, node.value)
    return None


def _is_sentence(template: str) -> bool:
    bare = template.replace(HOLE, "")
    return " " in template.strip() and any(letter.islower() for letter in bare)


def _passed_over(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from (part for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.FormattedValue) and node.format_spec:
            yield from ast.walk(node.format_spec)
        elif isinstance(node, ast.AnnAssign):
            yield from ast.walk(node.annotation)
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in _QUIET:
                for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    yield from ast.walk(given)


def english(page: str) -> list[str]:
    """What a page marks as English, without the switch of languages."""
    found = re.findall(r'<(\w+)[^>]*\blang="en"[^>]*>(.*?)</\1>', page, re.DOTALL)
    return [text for _, text in found if text != "English"]
