"""`sayso selftest`: attack a running installation as an agent would, and tell what was refused."""

import os
import sys
from enum import StrEnum
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import httpx2
from cyclopts import Parameter
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from sayso.cli import terminal
from sayso.cli.attacks import ATTACKS
from sayso.cli.attacks.ground import Attack, Ground, NotTriedError, Try
from sayso.cli.listing import print_list
from sayso.cli.terminal import AsJson, visible
from sayso.errors import ServerError, SignInRequiredError, UsageError
from sayso.version import __version__

FAILED = 1
_SECONDS = 30.0


class Result(StrEnum):
    """What came of an attack."""

    REFUSED = "refused"
    NOT_REFUSED = "NOT REFUSED"
    NOT_TRIED = "not tried"


_STYLES = {Result.REFUSED: "green", Result.NOT_REFUSED: "bold red", Result.NOT_TRIED: "yellow"}


class Finding(Struct, frozen=True, kw_only=True):
    """One attack, and what came of it."""

    attack: str
    result: Result
    tries: int
    """How many ways were tried."""
    let_through: int
    """How many of them were not refused."""
    seen: str
    """What the server did: the worst of it, or the first of many refusals."""
    about: str


class Report(Struct, frozen=True, kw_only=True):
    """All of it."""

    url: str
    findings: tuple[Finding, ...]
    left: tuple[str, ...]
    """Test requests that could not be cancelled, and accounts that could not be shut."""

    @property
    def failed(self) -> bool:
        """Whether any attack was not refused."""
        return any(each.result is Result.NOT_REFUSED for each in self.findings)


def selftest(
    url: str,
    /,
    *,
    link: str | None = None,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    as_json: AsJson = False,
) -> int:
    """Attack a running server as an agent would. The exit status is 1 if anything was let through.

    It makes test requests, marked as such, and cancels them; those that its test person decides
    stay decided. Where anybody may register it does so once, and shuts the account.

    Keys are read from the environment, where other users do not see them: an agent's from
    $SAYSO_API_KEY, another agent's from $SAYSO_OTHER_KEY, a test person's token from $SAYSO_TOKEN.
    What cannot be tried without them is named.

    Args:
        url: The server's address.
        link: A sign-in link of a test person, or its token; it is used up.
        only: Only this attack, as claim_twice; give it several times.
        as_json: Print JSON.
    """
    chosen = _chosen(only)
    link_token = _link_token(link or "")
    with httpx2.Client(
        base_url=url,
        timeout=_SECONDS,
        follow_redirects=False,
        headers={"user-agent": f"sayso-selftest/{__version__}"},
        cookies=None,
        trust_env=False,
    ) as http:
        _check(http, url)
        signed_in = _sign_in(http, link_token)
        ground = Ground(
            http,
            key=os.environ.get("SAYSO_API_KEY", ""),
            other_key=os.environ.get("SAYSO_OTHER_KEY", ""),
            token=os.environ.get("SAYSO_TOKEN", "") or signed_in,
            link_token=link_token,
        )
        try:
            findings = tuple(attacked(ground, attack) for attack in chosen)
        finally:
            left = tuple(ground.clean())
    report = Report(url=url, findings=findings, left=left)
    if as_json:
        terminal.print_json(report)
    else:
        _print(report)
    return FAILED if report.failed else 0


def attacked(ground: Ground, attack: Attack) -> Finding:
    """Carry out one attack; an error on the way is no refusal."""
    tries: list[Try] = []
    try:
        for each in attack(ground):
            ground.http.cookies.clear()
            tries.append(each)
    except NotTriedError as reason:
        if not tries:
            return _finding(attack, Result.NOT_TRIED, tries, str(reason))
    except (httpx2.HTTPError, ValueError, TypeError) as error:
        tries.append(Try("the attack itself", refused=False, seen=_broken(error)))
    bad = [each for each in tries if not each.refused]
    worst = (bad or tries)[0]
    seen = f"{worst.what}: {worst.seen}"
    return _finding(attack, Result.NOT_REFUSED if bad else Result.REFUSED, tries, seen)


def _finding(attack: Attack, result: Result, tries: list[Try], seen: str) -> Finding:
    about = (attack.__doc__ or "").strip().rstrip(".")
    through = sum(not each.refused for each in tries)
    return Finding(
        attack=attack.__name__,
        result=result,
        tries=len(tries),
        let_through=through,
        seen=seen,
        about=about,
    )


def _chosen(only: list[str] | None) -> list[Attack]:
    names = [attack.__name__ for attack in ATTACKS]
    unknown = [name for name in only or () if name not in names]
    if unknown:
        raise UsageError(
            f"There is no attack {unknown[0]!r}.", hint=f"There are: {', '.join(names)}."
        )
    return [attack for attack in ATTACKS if not only or attack.__name__ in only]


def _link_token(link: str) -> str:
    if "://" not in link:
        return link
    found = parse_qs(urlsplit(link).query).get("token", [""])[0]
    if not found:
        raise UsageError("The link has no token in it.", hint="Print one: sayso login-link")
    return found


def _check(http: httpx2.Client, url: str) -> None:
    """There is a Sayso server."""
    try:
        reply = http.get("/health")
        is_ours = reply.status_code == 200 and reply.json().get("service") == "sayso"
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, AttributeError) as error:
        raise ServerError(f"No Sayso server answers at {url!r}: {_broken(error)}.") from error
    if not is_ours:
        raise ServerError(f"What answers at {url!r} is no Sayso server.")


def _sign_in(http: httpx2.Client, link_token: str) -> str:
    if not link_token:
        return ""
    reply = http.post("/api/auth/link", json={"token": link_token})
    if reply.status_code != 200:
        raise SignInRequiredError(
            f"The link does not sign in: {reply.status_code}.",
            hint="Print another: sayso login-link",
        )
    return str(reply.json()["token"])


def _print(report: Report) -> None:
    screen = terminal.console()
    if sys.stdout.isatty():
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("RESULT", no_wrap=True)
        table.add_column("ATTACK")
        table.add_column("SEEN")
        for each in report.findings:
            seen = Text(visible(each.seen), style="" if each.result != Result.REFUSED else "dim")
            style = _STYLES[each.result]
            table.add_row(Text(each.result, style=style), Text(f"{each.about}."), seen)
        screen.print(table)
    else:
        print_list(
            ("RESULT", "ATTACK", "TRIES", "SEEN"),
            [(each.result, each.attack, str(each.tries), each.seen) for each in report.findings],
        )
    counts = [
        f"{sum(each.result is result for each in report.findings)} {result}" for result in Result
    ]
    print(f"{', '.join(counts)}.")
    if report.left:
        print(f"Left behind: {', '.join(map(visible, report.left))}")


def _broken(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
