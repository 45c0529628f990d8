"""The nightly backup is a command that can be given, by who may read all of it and change none."""

import json
import re
from typing import Any

from ml.inbox_location import DatabaseUrl
from ml.settings import MlSettings
from scripts.backup.__main__ import parser
from tests.environments.rendered import manifests, named
from tests.environments.test_workflows import OF_THE_LIBRARIES
from tests.observability.promtool import rules
from tests.repository.imports import ROOT

JOB = named(manifests("platform"), "CronJob", "backup")
POD = JOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]
(MAKE,) = POD["initContainers"]
(COPY,) = POD["containers"]
CLIENT_OF_DEBIAN_13 = 17


def options(container: dict[str, Any]) -> Any:
    assert container["command"] == ["python", "-m", "scripts.backup"]
    return parser().parse_args(container["args"])


def secrets(container: dict[str, Any]) -> set[str]:
    return {each["valueFrom"]["secretKeyRef"]["name"] for each in container["env"] if "valueFrom" in each}


def test_it_is_made_each_night_and_then_copied_and_read_back_outside() -> None:
    assert re.fullmatch(r"\d+ \d+ \* \* \*", JOB["spec"]["schedule"])
    assert JOB["spec"]["concurrencyPolicy"] == "Forbid"
    assert (options(MAKE).verb, options(COPY).verb) == ("make", "copy")
    assert options(MAKE).to == options(COPY).source
    assert options(COPY).to.startswith("s3://")


def test_every_database_of_the_platform_and_all_that_the_registry_keeps_is_in_it() -> None:
    known = {each["name"]: each.get("value") for each in MAKE["env"]}
    settings = MlSettings.model_validate({"state": "/lake", "inbox": known["ML_INBOX"]})
    assert isinstance(settings.inbox, DatabaseUrl)
    urls = [settings.inbox, *(url for _, url in options(MAKE).database)]
    assert {url.database for url in urls} == {"inbox_production", "inbox_staging", "oncall", "registry"}
    assert {(url.host, url.user) for url in urls} == {("database", "backup")}
    registry = named(manifests("platform"), "Deployment", "registry")["spec"]["template"]["spec"][
        "containers"
    ][0]
    (artifacts,) = (
        each["value"] for each in registry["env"] if each["name"] == "MLFLOW_ARTIFACTS_DESTINATION"
    )
    assert [place for _, place in options(MAKE).place] == [artifacts]
    assert set(known) <= OF_THE_LIBRARIES | {"PGPASSWORD"} | {
        f"ML_{name.upper()}" for name in MlSettings.model_fields
    }


def test_who_reads_what_is_backed_up_does_not_reach_the_backups_and_the_other_way_round() -> None:
    assert secrets(MAKE) == {"backup", "model-store-backup"}
    assert secrets(COPY) == {"backup-place"}
    mounts = {each["mountPath"]: each for each in COPY["volumeMounts"]}
    assert mounts["/backups"]["readOnly"] is True
    assert "/lake" not in mounts
    assert POD["automountServiceAccountToken"] is False
    text = named(manifests("platform"), "ExternalSecret", "model-store-identities")["spec"]["target"][
        "template"
    ]
    (actions,) = re.findall(r'"name": "backup", "actions": (\[[^\]]+\])', text["data"]["identities.json"])
    assert {each.partition(":")[0] for each in json.loads(actions)} == {"List", "Read"}


def test_the_server_is_no_newer_than_the_client() -> None:
    """pg_dump refuses a server that is newer than itself; the image's distribution is Debian 13 or later."""
    database = named(manifests("platform"), "StatefulSet", "database")["spec"]["template"]["spec"][
        "containers"
    ][0]
    (server,) = re.findall(r":(\d+)\.", database["image"])
    assert int(server) <= CLIENT_OF_DEBIAN_13
    assert " postgresql-client " in (ROOT / "ml" / "Dockerfile").read_text()


def test_the_alarm_asks_for_this_job() -> None:
    (rule,) = (each for each in rules("alerts") if each["alert"] == "BackupOld")
    assert f'namespace="{JOB["metadata"]["namespace"]}", cronjob="{JOB["metadata"]["name"]}"' in rule["expr"]
