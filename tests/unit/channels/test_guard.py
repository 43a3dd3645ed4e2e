"""Where we connect to, in every spelling that we know of."""

import pytest

from sayso.channels.addresses import AddressGuard
from sayso.errors import ConfigurationError, InvalidRequestError

FORBIDDEN = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700::1%eth0",
    "no address",
    "",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_is_not_public_is_not_connected_to(address: str) -> None:
    assert not AddressGuard().allows(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is(address: str) -> None:
    assert AddressGuard().allows(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://127.0.0.1./",
        "http://127.0.0.1../",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://[64:ff9b::7f00:1]/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://a.localhost/",
        "http://a.localhost./",
        "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127\u30020\u30020\u30021/",
        "http://127.0.0.%31/",
        "http://169.254.169.254/latest/meta-data/",
        "http://evil.example@127.0.0.1/",
        "http://user@agent.example/",
        "http://user:password@agent.example/",
        "http://:@agent.example/",
        "http://127.0.0.1:80@agent.example/",
        "http://127.0.0.1#@agent.example/",
        "http://127.0.0.1\\@agent.example/",
        "http://agent.example\\@127.0.0.1/",
        "http:///told",
        "http://",
        "https://?x",
        "http:agent.example",
        "http:/agent.example",
        "//agent.example/",
        "ftp://agent.example/",
        "file:///etc/passwd",
        "gopher://agent.example/",
        "http://agent.example:0/",
        "http://agent.example:99999/",
        "http://agent.example:80:81/",
        "http://agent..example/",
        "http://.agent.example/",
        "http://agent example/",
        "http://agent.example%00.evil/",
        "http://[::1/",
        "http://$(id).example/",
        "not a url",
        "",
    ],
)
def test_a_url_that_leads_to_where_it_may_not_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        AddressGuard().check_url(url, "$.url")
    assert refused.value.errors[0]["at"] == "$.url"
    assert "SAYSO_CALLBACK_NETWORKS" in refused.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "https://agent.example/told?x=1#y",
        "http://agent.example:8080/",
        "https://agent.example./",
        "https://a_b-c.agent.example/",
        "https://b\u00fccher.example/",
        "http://93.184.216.34/",
        "http://[2606:4700::1111]:8443/",
        "https://example.com/@127.0.0.1/",
    ],
)
def test_a_url_of_a_public_host_is_taken(url: str) -> None:
    AddressGuard().check_url(url, "$.url")


def test_a_network_that_is_named_is_allowed_and_no_other() -> None:
    guard = AddressGuard(["127.0.0.0/8", "10.1.0.0/16"])
    for url in ("http://127.1/", "http://localhost:1/", "http://10.1.2.3/", "http://2130706433/"):
        guard.check_url(url, "$.url")
    assert guard.localhost("localhost") == ["127.0.0.1"]
    assert guard.allows("::ffff:127.0.0.1")
    for address in ("10.2.0.1", "::1", "169.254.169.254", "192.168.0.1"):
        assert not guard.allows(address)


@pytest.mark.parametrize("text", ["10.1.2.3/8", "localhost", "10.0.0.0/33", "*"])
def test_a_network_that_is_none_stops_the_server(text: str) -> None:
    with pytest.raises(ConfigurationError, match="callback_networks"):
        AddressGuard([text])
