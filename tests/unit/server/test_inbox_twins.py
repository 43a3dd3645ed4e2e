"""The inbox reads requests twice, in Python and in script: both must tell a person the same."""

# ruff: noqa: RUF001  # look-alike characters are what is tested

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sayso.server.inbox import headline
from sayso.visible import pieces, tables

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "src/sayso/server/inbox/static"
SCRIPT = """
const [folder, text] = process.argv.slice(1)
const headline = await import(`${folder}/headline.js`)
const { scan } = await import(`${folder}/visible.js`)
const tables = await import(`${folder}/tables.js`)
const { parse } = await import(`${folder}/json.js`)
const cases = parse(text)
const piece = p => typeof p === 'string' ? [p, '', ''] : [p.show, p.kind, p.why]
process.stdout.write(JSON.stringify({
  requests: cases.requests.map(r => ({
    headline: headline.headline(r), summary: headline.summary(r),
    facts: headline.facts(r.action).map(f => [f.role, f.key, f.text]),
  })),
  labels: cases.labels.map(headline.label),
  texts: cases.texts.map(text => scan(text).map(piece)),
  lines: cases.texts.map(text => scan(text, { line: true }).map(piece)),
  tables: Object.fromEntries(Object.entries(tables).map(
    ([name, value]) => [name, value instanceof Map ? Object.fromEntries(value) : value])),
}))
"""

TOOLS = [
    "deploy_app",
    "deployApp",
    "stripe.transfers.create",
    "stripe.transfers.send_now",
    "mcp__github__merge_pr",
    "aws::s3::delete",
    "create",
    "a/b/delete",
    "HTTPServer-restart",
    "___",
    ".",
    "run sql query",
    " leading space",
    "d\u0435ploy",
    "überweisen",
    "x" * 256,
    "get.URL",
]
ARGS: list[dict[str, Any]] = [
    {},
    {"amount": 12500, "currency": "EUR", "recipient": "Harbour"},
    {"amount": "1.234,50", "currency": "EUR"},
    {"amount": "lots", "currency": "EUR"},
    {"amount": 1234567.5, "ccy": "USD", "to": "a@b.c"},
    {"amount": -1234567},
    {"amount": 0},
    {"amount": 12345678901234567890},
    {"amount": 5.0, "limit": 2},
    {"price": 1e21, "cost": 1e-7},
    {"Amount": 3, "QUANTITY": 4, "Currency": "EUR"},
    {"amount": True},
    {"amount": None, "to": None},
    {"amount": "", "currency": "", "to": ""},
    {"amount": 3, "currency": "A LONG ONE"},
    {"replicas": 3, "count": 1000, "currency": "EUR"},
    {"to": ["a@b.c", "d@e.f"], "cc": []},
    {"to": ["a@b.c", {"name": "x"}]},
    {"to": [str(n) for n in range(9)]},
    {"to": [1, 2.5, "x"]},
    {"to": {"name": "x"}},
    {"to": "x" * 121, "env": "x" * 120},
    {"to": "two\nlines", "host": "one"},
    {"port": 1, "version": 2, "account": 12},
    {"user": False},
    {
        "env": "prod",
        "host": "db",
        "region": "eu",
        "to": "b",
        "amount": 1,
        "count": 2,
        "file": "f",
        "path": "p",
    },
    {"to": "😀" * 70},
    {"sum": 999, "total": 1000},
]
REQUESTS: list[dict[str, Any]] = [
    *({"kind": "approval", "action": {"tool_name": t, "tool_args": {"to": "x"}}} for t in TOOLS),
    *({"kind": "approval", "action": {"tool_name": "pay", "tool_args": args}} for args in ARGS),
    {"kind": "choice", "options": [{"label": "a"}, {"label": "b"}]},
    {"kind": "input"},
    {"kind": "input", "schema": {"type": "object", "properties": {"a": {}}}},
    {"kind": "input", "schema": {"type": "object", "properties": {"a": {}, "b": {}}}},
    {"kind": "plan"},
    {"kind": "approval"},
]
LABELS = [
    "to_account",
    "customerId",
    "user-name",
    "x" * 40,
    "x" * 39,
    "a b",
    "",
    "é",
    "apiURL",
    "_",
]
TEXTS = [
    *(f"pa{c}pal {c}@{c}.com {c}\n{c}  \u00d8" for c in map(chr, range(0xC0, 0x100))),
    "xn--pypal-4ve.com",
    " " * 100,
    "",
    "plain text\nwith\ttabs",
    "invoice_\u202efdp.exe",
    "a\u200bb\u200cc\u200dd\ufeffe\u00adf",
    "line\r\nline\rline",
    "\x00\x08\x1b[31m\x7f\x85",
    "no\u00a0break\u2003em\u3000wide\u2028ls\u2029ps",
    "日本\u3000語",
    "ceo@\u0435xample.com",
    "раураl and apple",
    "Привет, мир",
    "раура",
    "а",
    "Ελλάδα",
    "νο ordinary",
    "ΑΒ and AB",
    "p\u03bfst",
    "👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3 ©\ufe0f",
    "👍🏽\u200d x",
    "x\ufe0fy",
    "\ufe0f",
    "می\u200cخواهم",
    "क्\u200dष",
    "flag \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "say \U000e0068\U000e0069\U000e0001 it",
    "\U000e0001",
    "ｆｕｌｌ ｗｉｄｔｈ",
    "全角ＡＢＣ",
    "𝐛𝐨𝐥𝐝 𝟏",
    "\ue000 private",
    "e\u0301 café",
    "snake_саse and words_with_а",
    "\u2066isolated\u2069",
    "\U000e0100variation",
    "\u034f\u115f\u3164",
    "مرحبا \u200f hello",
    "a" + "\u200c" * 5_000,
    "раураl\n" * 200 + "\u202e and the rest \u200b",
    "\x1b[2J\x1b[H\x1b[32mRisk: LOW\x1b[0m",
    "\x1b]8;;http://evil.example/\x07bank.example\x1b]8;;\x1b\\",
    "\x9b31m \x1bc \x1b(0 \x1b]0;title without an end",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033dA",
    "hidden\U0001f600" + "".join(chr(0xE0100 + ord(c) - 16) for c in "do evil"),
    "\U0001f600\ufe03\ufe04",
    "\U0001f3f4\U000e0065\U000e0076\U000e0069\U000e006c\U000e007f",
    "葛\U000e0100飾区",
    "ls" + " " * 200 + "&& rm -rf /",
    "Fine.\n" + "\n" * 100 + "Delete it all.",
    "https://раура.com/login and https://аррӏе.com",
    "https://evil.c\u2100.example.com",
    "https://bank.example\u2044@evil.example example\u3002com exa\u00admple.com",
    "xn--80ak6aa92e.com xn--mnchen-3ya.de XN--PPLE-43D.com xn--a xn---- xn--\u0430",
    "paypaı.com işık ılık ｇoogle.com",
    "if (environment\u01c3=user) { a\u037e }",
    "Τι είναι; Ελλάδα\u037e",
    "Пpивет, Вacя",
    "Αθήνα.gr и Россия.рф",
    "аре and mixed аρ",
    '{"a": "\\nПривет"}',
    "PDFки и API-токен, IT-отдел, 3D-принтер, C++ и Cи",
    "\u200fשלום, \u200fعربي\u200f 12",
    "ภาษา\u200bไทย",
    "क्षेत्र में भुगतान, हिन्दी",
    "東京都港区のホテルを予約します。ＡＢＣ１２３：例え。com",
    "ᠮᠣ\u180bᠩ\u180e",
    "\u2800⠓⠑\u2800",
    "DE89\u200b3704\u00a00044",
    "one\nline\tonly",
    "½ ² ™ № … ℃",
    "Ⓟⓐⓨ Ⓜ\ufe0f ﬁne",
    "ᏚᎢᎪᎡᏴᏟ ꓓꓰ Σίσυφος σο",
    "Вacя kΩ Пpивет μm α-helix x² naïve résumé",
]


def whole(request: dict[str, Any]) -> dict[str, Any]:
    """With every field that a request has on the wire and that is read here."""
    return {"message": "May I?", "action": None, "options": [], "schema": None, **request}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the script says of every case."""
    found = ROOT / ".venv/bin/node"
    node = str(found) if found.exists() else shutil.which("node")
    if node is None:
        pytest.skip("Node.js is missing: run tools/install_test_tools.py")
    cases = json.dumps({"requests": [whole(r) for r in REQUESTS], "labels": LABELS, "texts": TEXTS})
    ran = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "--eval", SCRIPT, str(STATIC), cases],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("at", range(len(REQUESTS)))
def test_a_request_reads_the_same_in_script(told: dict[str, Any], at: int) -> None:
    request = whole(REQUESTS[at])
    assert told["requests"][at] == {
        "headline": headline.headline(request),
        "summary": headline.summary(request),
        "facts": [list(fact) for fact in headline.facts(request["action"])],
    }


@pytest.mark.parametrize("at", range(len(LABELS)))
def test_a_name_reads_the_same_in_script(told: dict[str, Any], at: int) -> None:
    assert told["labels"][at] == headline.label(LABELS[at])


@pytest.mark.parametrize("at", range(len(TEXTS)))
def test_deceiving_characters_are_the_same_in_script(told: dict[str, Any], at: int) -> None:
    expected = [list(piece[:3]) for piece in pieces(TEXTS[at])]
    assert [p for p in told["texts"][at] if p[0]] == [p for p in expected if p[0]]
    expected = [list(piece[:3]) for piece in pieces(TEXTS[at], one_line=True)]
    assert [p for p in told["lines"][at] if p[0]] == [p for p in expected if p[0]]


def test_the_tables_are_the_same_in_script(told: dict[str, Any]) -> None:
    for name, table in told["tables"].items():
        ours = getattr(tables, name)
        ours = [list(pair) for pair in ours] if name == "SCRIPTS" else ours
        ours = list(ours) if isinstance(ours, tuple) else ours
        assert table == ours, name
    assert set(told["tables"]) == {name for name in vars(tables) if name.isupper()} - {
        "LETTERS",
        "LATIN_LETTERS",
    }
