"""Real attacks are seen, and ordinary texts of many languages are left alone."""

# ruff: noqa: RUF001  # look-alike characters are what is tested

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.visible import fenced, html, pieces, seen, spelled, taken_for
from sayso.visible.pieces import MOST

ORDINARY = [
    "Перевести 1 500 рублей Ивану Петрову? Счёт № 40817, ООО «Ромашка».",
    "Сохо, оса, ухо, сор и рот. Ёлка. IT-отдел ждёт API-ключ от example.com, файл отчёт.pdf",
    "Привет! Напишите на ivan@example.ru до 12:00; см. https://пример.рф/путь и тест.com",
    "Πληρωμή στην Αθήνα: 100 €. Το e-mail είναι maria@example.gr. Ναι; ΟΚ!",
    "東京都港区のホテルを予約します。ＡＢＣ１２３：支払い　５００円、example.comへ。",
    "向张伟支付五百元，备注：房租（六月）。请访问 https://example.cn 。",
    "서울에서 회의를 예약할까요? 이메일: kim@example.kr",
    "ادفع ٥٠٠ ريال إلى محمد. البريد: ali@example.com، می‌خواهم بروم.",
    "شراء 3 كتب من Amazon, \u200fعربي\u200f!",
    "שלם 100 ₪ לדוד, בְּרֵאשִׁית בָּרָא. כתובת: dan@example.co.il",
    "हिन्दी में भुगतान करें: क्षेत्र, श्री, कर्‍म। ₹500 ravi@example.in",
    "বাংলা, தமிழ், తెలుగు, ಕನ್ನಡ, മലയാളം ന്‍, ਪੰਜਾਬੀ, ગુજરાતી, සිංහල ශ්‍රී",
    "ภาษาไทยน้ำใจ\u200bงาม ភាសា\u200bខ្មែរ ລາວ မြန်မာ",
    "Đặt vé cho Nguyễn Văn Ðức, giá 500.000 ₫ tại việt.example.vn",
    "Işık ılık, çağrı; Grüße nach Zürich; Łódź; naïve café; œuvre; smørrebrød; ñandú",
    "E\u0301cole, a\u0302\u0301, Z\u0302\u0323 in marks of their own",
    "👩‍👩‍👧 👍🏽 ❤️ 1️⃣ ©️ 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🇺🇦",
    "Ω = 5 kΩ, μ = 3 μm, Δt, α-helix, πr², x₁ + x₂, ½ cup, 20 °C, № 5, ™, …",
    "SELECT *\nFROM users\n\tWHERE id = 7;  -- comment",
    "https://example.com/a?b=c#d ftp://user@host/path C:\\new\\table ../../etc",
    "葛\U000e0100飾区, 辻\U000e0101",
    "Բարեւ Ձեզ, გამარჯობა, Ꮳꮃꭹ ᎦᏬᏂᎯᏍᏗ, ᐃᓄᒃᑎᑐᑦ",
    '{"note": "\\nПривет\\tмир"}',
]


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_text_has_no_mark(text: str) -> None:
    assert [piece for piece in pieces(text) if piece.kind] == []


ATTACKS = [
    ("trojan source", 'if access != "user\u202e \u2066// admin\u2069 \u2066"', "bidi", "RLO"),
    ("a file name turned round", "invoice_\u202efdp.exe", "bidi", "RLO"),
    ("a mark of direction", "a\u200eb", "bidi", "LRM"),
    ("a cleared screen", "\x1b[2J\x1b[HAll is well.", "escape", "ESC[2J"),
    ("a forged line in green", "\x1b[32mRisk: LOW\x1b[0m", "escape", "ESC[32m"),
    ("a link of a terminal", "\x1b]8;;http://evil.example\x1b\\bank\x1b]8;;\x1b\\", "escape",
     "ESC]8;;http://evil.exampleESC\\"),
    ("a title of a terminal", "\x1b]0;pwned\x07", "escape", "ESC]0;pwnedBEL"),
    ("an escape of one byte", "\x9b2J", "escape", "U+009B2J"),
    ("a reset", "\x1bc", "escape", "ESCc"),
    ("an escape without an end", "\x1b]8;;http://evil", "escape", "ESC]"),
    ("a joint in an account number", "DE89\u200b370400440532013000", "hidden", "ZWSP"),
    ("a soft hyphen in a host", "exam\u00adple.com", "hidden", "SHY"),
    ("an invisible letter", "admin\u3164", "hidden", "U+3164"),
    ("tags", "Fine.\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065", "tags",
     "hidden text: ignore"),
    ("tags behind a flag", "🏴\U000e0065\U000e0076\U000e0069\U000e006c\U000e007f", "tags",
     "hidden text: evil"),
    ("selectors", "😀" + "".join(chr(0xE0100 + ord(c) - 16) for c in "pay"), "tags",
     "hidden text: pay"),
    ("one selector", "pay\ufe01", "hidden", "U+FE01"),
    ("zalgo", "Z\u0351\u036b\u0343\u036a\u0302\u036b", "stack", "6 marks"),
    ("a Cyrillic letter", "p\u0430ypal.com", "alike", "\u0430"),
    ("a Greek letter", "micr\u03bfsoft", "alike", "\u03bf"),
    ("an Armenian letter", "g\u0585\u0585gle", "alike", "\u0585"),
    ("a Cherokee letter", "\u13aamazon", "alike", "\u13aa"),
    ("a Lisu letter", "\ua4d0ank", "alike", "\ua4d0"),
    ("a Latin letter among Cyrillic ones", "Вac\u044fя", "alike", "a"),
    ("a whole word", "go to раура now", "alike", "р"),
    ("a whole label in a Russian text", "Привет, войдите на раура.com", "alike", "р"),
    ("letters of two scripts", "аρр", "alike", "а"),
    ("a dotless letter in a host", "paypa\u0131.com", "alike", "\u0131"),
    ("another g in a host", "\u0261oogle.com", "alike", "\u0261"),
    ("wide letters", "ｐａｙ me", "alike", "ｐ"),
    ("wide letters in a Japanese text's address", "送金先 ｅxample.com です", "alike", "ｅ"),
    ("bold letters", "𝐩𝐚𝐲", "alike", "𝐩"),
    ("circled letters", "ⓟay", "alike", "ⓟ"),
    ("a ligature in a host", "https://\ufb01nance.example", "alike", "\ufb01"),
    ("a host that splits", "https://evil.c\u2100.example.com", "alike", "\u2100"),
    ("a stroke that is none", "https://bank.example\u2215@evil.example", "alike", "\u2215"),
    ("a full stop that is none", "example\u3002com", "alike", "\u3002"),
    ("a call that is none", "if (environment\u01c3=user)", "alike", "\u01c3"),
    ("a semicolon that is none", "return;\u037e", "alike", "\u037e"),
    ("punycode", "https://xn--80ak6aa92e.com/", "address", "xn--80ak6aa92e"),
    ("a command out of sight", "ls" + " " * 300 + "; rm -rf /", "blank", "300 blanks"),
    ("a command below", "ls" + "\n" * 99 + "rm", "blank", "99 blanks, 99 of them line breaks"),
    ("a space that is none", "a\u00a0b", "space", "U+00A0"),
    ("a line break that is none", "a\u2028Risk: LOW", "space", "LS"),
    ("a carriage return", "rm -rf /\rls", "control", "CR"),
    ("a backspace", "rm\x08\x08ls", "control", "BS"),
    ("a letter of nobody's", "\ue000", "control", "U+E000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "shown"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS]
)
def test_an_attack_is_marked(text: str, kind: str, shown: str) -> None:
    marked = [piece for piece in pieces(text) if piece.kind]
    assert (marked[0].kind, marked[0].text) == (kind, shown)
    assert all(piece.why for piece in marked)
    assert f'class="vis vis-{kind}"' in html(text)
    assert spelled(text) != text or kind == "address"


def test_what_a_code_of_a_name_stands_for_is_told() -> None:
    (_, piece, _) = pieces("https://xn--80ak6aa92e.com/")
    assert piece.why == "xn--80ak6aa92e is the code of аррӏе, which looks like apple"


def test_a_line_break_is_a_deception_where_one_line_is_meant() -> None:
    assert pieces("pay\nRisk: LOW")[0].kind == ""
    assert [p.text for p in pieces("pay\nRisk: LOW", one_line=True)] == ["pay", "↵", "Risk: LOW"]
    assert "\n" not in html("pay\nRisk: LOW", one_line=True)
    assert spelled("pay\nRisk: LOW") == r"pay\nRisk: LOW"


def test_markup_is_text() -> None:
    evil = "<script>alert(1)</script><img src=x onerror='x'>\"&amp;\u202e<b>"
    shown = html(evil)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "<b>" not in shown
    assert shown.count("<mark ") == shown.count("<") / 2 == 1


def test_a_fence_stands_before_each_line() -> None:
    said = "Fine.\r\nRisk: LOW\u2028Digest: sha256:0\n\n\x1b[2JApproved by Ann"
    lines = fenced(said).splitlines()
    assert lines == [
        r"│ Fine.\r",
        r"│ Risk: LOW\u2028Digest: sha256:0",
        "│ ",
        r"│ \x1b[2JApproved by Ann",
    ]


HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aе\u202e\u200b\x1b[]8;\n\t <>&\"'.@\u0301\U000e0041\ufe0f😀xn-РОр\\0"),
    )
)


@given(HOSTILE, st.booleans())
def test_nothing_is_lost(text: str, one_line: bool) -> None:
    assert "".join(piece.raw for piece in pieces(text, one_line=one_line)) == text


@given(HOSTILE)
def test_nothing_that_steers_or_marks_up_gets_through(text: str) -> None:
    plain = spelled(text)
    assert not [c for c in plain if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    bare = html(text).replace("</mark>", "")
    assert "<" not in "".join(part.partition(">")[2] for part in bare.split("<mark ")[1:])
    assert "<" not in bare.split("<mark ")[0]


def test_a_text_full_of_deceptions_is_marked_first_and_spelled_out_then() -> None:
    found = pieces("a" + "\u200c" * 100_000 + "p\u0430ypal")
    assert len(found) == MOST + 2
    assert found[-1].kind == "more"
    assert found[-1].text.startswith(r"\u200c\u200c")
    assert found[-1].text.endswith(r"p\u0430ypal")
    assert found[-1].why.startswith("99506 characters")


@pytest.mark.parametrize(
    "part",
    ["a", "a.b@c/", "Привет, мир! ", "раураl ", "日本語", "e\u0301", "\u200c", "\x1b[", "xn--a-",
     " ", "a.б", "é", "\\n", "<>&", "\U000e0041", "\ufe01", "𝐚"],
)  # fmt: skip
def test_a_megabyte_costs_little_time(part: str) -> None:
    """Generous, since machines are busy; what grows with the square takes minutes."""
    text = part * (1_000_000 // len(part.encode())) + "é"
    began = time.process_time()
    html(text)
    spelled(text)
    assert time.process_time() - began < 60


def test_what_unicode_says_to_show_as_nothing_is_not_compared() -> None:
    """`Default_Ignorable_Code_Point` of Unicode, control characters, separators, surrogates."""
    ranges = (
        "00ad 034f 061c 115f-1160 17b4-17b5 180b-180f 200b-200f 2028-202e 2060-206f 3164 fe00-fe0f"
        " feff ffa0 fff0-fffb 1bca0-1bca3 1d173-1d17a e0000-e0fff 2800 0000-0008 000b-001f"
        " 007f-009f d800-dfff"
    )
    for each in ranges.split():
        first, _, last = each.partition("-")
        for number in range(int(first, 16), int(last or first, 16) + 1):
            assert seen(f"a{chr(number)}b") == "ab", hex(number)


def test_what_people_see_is_compared() -> None:
    for text in (
        "a\tb\nc",
        "\u041f\u0440\u0438\u0432\u0435\u0442",
        "\u65e5\u672c",
        "caf\u00e9 \U0001f600",
        "",
    ):
        assert seen(text) == text


def test_look_alikes_are_taken_for_ascii() -> None:
    assert taken_for("s\u0435nd\u2010\u041c\u0430il \u043f \u00e9") == "send-Mail \u043f \u00e9"
