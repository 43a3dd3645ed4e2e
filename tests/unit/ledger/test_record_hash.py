"""A record's hash, which is taken piece by piece."""

from hashlib import sha256

import pytest

from sayso.ledger.blocks import record_hash


@pytest.mark.parametrize("size", [0, 1, 2_046, 2_047, 2_048, 4_094, 4_095, 70_000])
def test_a_record_has_the_hash_of_all_its_bytes(size: int) -> None:
    record = bytes(number % 251 for number in range(size))
    assert record_hash(record) == f"sha256:{sha256(record).hexdigest()}"
