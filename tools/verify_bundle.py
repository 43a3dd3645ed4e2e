"""Check an evidence bundle without Sayso: `python verify_bundle.py bundle.zip [KEY_ID]`.

A second verifier, written from docs/audit.md alone; it needs Python and `cryptography`.
"""

import hashlib
import json
import sys
import zipfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def check(key: str, signature: str, text: str) -> None:
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
        bytes.fromhex(signature), text.encode()
    )


def main(path: str, trusted: str | None) -> None:
    try:
        archive = zipfile.ZipFile(path)
        files = {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"{path} is not a bundle that can be read: {error}")
    rows = {n: [json.loads(x) for x in files[n].splitlines()] for n in files if n.endswith("l")}
    events = {row["number"]: row for row in rows["events.jsonl"]}
    manifest, keys = json.loads(files["manifest.json"]), {}
    order, vouched, told = [], set(), {}

    def introduce(new: list[dict]) -> None:
        for key in new:
            assert key["by"] == (order[-1] if order else ""), "a key that nobody introduces"
            text = (
                f"sayso ledger key v1\npublic: {key['public']}\nby: {key['by']}\nat: {key['at']}\n"
            )
            check(keys.get(key["by"], key["public"]), key["signature"], text)
            order.append(sha(bytes.fromhex(key["public"])).hex()[:32])
            keys[order[-1]] = key["public"]
            if trusted in (None, order[-1]) or key["by"] in vouched:
                vouched.add(order[-1])

    introduce(json.loads(files["keys.json"])["introductions"])
    before = None
    for block in rows["blocks.jsonl"]:
        introduce(block.get("keys", []))
        names = ("number", "first", "last", "previous", "head", "at")
        text = "sayso ledger block v1\n" + "".join(f"{n}: {block[n]}\n" for n in names)
        check(keys[order[-1]], block["signature"], text + f"key: {order[-1]}\n")
        assert before in (None, block["previous"]), f"a gap before block {block['number']}"
        before, head = block["head"], bytes.fromhex(block["previous"])
        numbers = range(block["first"], block["last"] + 1)
        for row in [events[n] for n in numbers if block["first"] in events]:
            if "event" in row and "record" in (event := json.loads(row["event"]))["data"]:
                told[event["request_id"]] = event["data"]["record"]
            own = sha(row["event"].encode()) if "event" in row else bytes.fromhex(row["hash"])
            head = sha(head + own)
        assert block["first"] not in events or head.hex() == before, f"block {block['number']}"
    introduce(json.loads(files["keys.json"])["later"])
    check(
        keys[manifest["key_id"]],
        files["manifest.sig"].decode().strip(),
        "sayso bundle v1\n" + files["manifest.json"].decode(),
    )
    for name, member in manifest["members"].items():
        assert sha(files[name]).hex() == member["sha256"], name
    for row in rows["requests.jsonl"]:
        found = row.get("hash") or "sha256:" + sha(row["request"].encode()).hex()
        assert found == told.get(row["id"], found), f"request {row['id']}"
    assert order[-1] in vouched, "it does not come from the key that you trust"
    print(f"Everything fits: {len(events)} events, {len(rows['requests.jsonl'])} requests.")


main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
